//! The calls of the kernel that are left to a helper.
//!
//! What is not in the list is refused. No file can be opened, no socket made, no program or process started,
//! nobody else looked at; memory is never writable and executable at once.
//!
//! Invariant: the list has nothing that changes, opens or reaches something outside of this process.

use libc::{PROT_EXEC, PROT_WRITE, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;
use std::io;

/// What is done with what is open already, with memory of one's own, and with time.
const ALLOWED: [c_long; 33] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_ftruncate,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_recvmsg,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_membarrier,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

fn other<E: std::fmt::Display>(error: E) -> io::Error {
    io::Error::other(format!("the filter of system calls: {error}"))
}

/// The argument `index` is `value` in the bits of `mask`.
fn is(index: u8, mask: u64, value: u64) -> io::Result<SeccompRule> {
    let condition =
        SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value).map_err(other)?;
    SeccompRule::new(vec![condition]).map_err(other)
}

fn rules() -> io::Result<BTreeMap<i64, Vec<SeccompRule>>> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.map(|call| (call, Vec::new())).into();
    let write = u64::from(PROT_WRITE.cast_unsigned());
    let execute = u64::from(PROT_EXEC.cast_unsigned());
    let both = write | execute;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let kinds = [0, write, execute].map(|kind| is(2, both, kind));
        rules.insert(call, kinds.into_iter().collect::<io::Result<_>>()?);
    }
    // What is open already; the form of the call that could name a path finds an empty root.
    let empty_path = u64::from(libc::AT_EMPTY_PATH.cast_unsigned());
    rules.insert(libc::SYS_newfstatat, vec![is(3, empty_path, empty_path)?]);
    rules.insert(libc::SYS_statx, vec![is(2, empty_path, empty_path)?]);
    // Of itself alone: its limits only go down, and it can end itself.
    rules.insert(libc::SYS_prlimit64, vec![is(0, u64::from(u32::MAX), 0)?]);
    let own = u64::from(rustix::process::getpid().as_raw_nonzero().get().cast_unsigned());
    rules.insert(libc::SYS_tgkill, vec![is(0, u64::from(u32::MAX), own)?]);
    Ok(rules)
}

/// From here on only these calls are answered, in this process for ever.
pub(super) fn install() -> io::Result<()> {
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let kind = std::env::consts::ARCH.try_into().map_err(other)?;
    let filter = SeccompFilter::new(rules()?, refused, SeccompAction::Allow, kind).map_err(other)?;
    let program: BpfProgram = filter.try_into().map_err(other)?;
    seccompiler::apply_filter(&program).map_err(other)
}
