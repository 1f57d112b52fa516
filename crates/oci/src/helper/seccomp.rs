//! Which system calls a command may make: those that Docker's default profile lets a container make that has
//! no capabilities, without `io_uring`.
//!
//! Everything else is refused with EPERM, as there; `clone3` with ENOSYS, so that libraries fall back to
//! `clone`, whose flags can be looked at. Programs for another kind of processor than this machine's (32 bits)
//! are ended.
//!
//! Invariant: no call in the list makes or enters a namespace, mounts, loads code into the kernel, or looks
//! into it.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op, SeccompCondition as Condition,
    SeccompFilter, SeccompRule as Rule,
};
use std::collections::BTreeMap;

/// Flags of `clone` that make namespaces.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u64;
/// Ways for a program to say what system it was made for; none weakens it.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Families of sockets that reach beyond the container: other virtual machines, and the kernel's ciphers.
const NO_FAMILIES: [libc::c_int; 2] = [libc::AF_VSOCK, libc::AF_ALG];

macro_rules! calls {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

/// Calls that every 64-bit machine has. Not `io_setup` and what goes with it: all programs of a machine share
/// what there is. Not `ptrace`: by it the first process could be killed from inside, as if somebody outside had done it.
const COMMON: &[libc::c_long] = calls!(
    SYS_accept SYS_accept4 SYS_adjtimex SYS_bind SYS_brk SYS_capget SYS_capset SYS_chdir SYS_clock_adjtime
    SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_close SYS_close_range SYS_connect SYS_copy_file_range
    SYS_dup SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2 SYS_execve
    SYS_execveat SYS_exit SYS_exit_group SYS_faccessat SYS_faccessat2 SYS_fadvise64 SYS_fallocate SYS_fanotify_mark
    SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchmodat2 SYS_fchown SYS_fchownat SYS_fcntl SYS_fdatasync SYS_fgetxattr
    SYS_flistxattr SYS_flock SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate SYS_futex
    SYS_futex_waitv SYS_getcpu SYS_getcwd SYS_getdents64 SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups
    SYS_getitimer SYS_getpeername SYS_getpgid SYS_getpid SYS_getppid SYS_getpriority SYS_getrandom SYS_getresgid
    SYS_getresuid SYS_get_robust_list SYS_getrusage SYS_getsid SYS_getsockname SYS_getsockopt SYS_gettid
    SYS_gettimeofday SYS_getuid SYS_getxattr SYS_inotify_add_watch SYS_inotify_init1 SYS_inotify_rm_watch
    SYS_ioctl SYS_ioprio_get SYS_ioprio_set SYS_kill SYS_landlock_add_rule SYS_landlock_create_ruleset
    SYS_landlock_restrict_self SYS_lgetxattr SYS_linkat SYS_listen SYS_listxattr SYS_llistxattr SYS_lremovexattr
    SYS_lseek SYS_lsetxattr SYS_madvise SYS_membarrier SYS_memfd_create SYS_mincore SYS_mkdirat SYS_mknodat SYS_mlock
    SYS_mlock2 SYS_mlockall SYS_mmap SYS_mprotect SYS_mq_getsetattr SYS_mq_notify SYS_mq_open SYS_mq_timedreceive
    SYS_mq_timedsend SYS_mq_unlink SYS_mremap SYS_msgctl SYS_msgget SYS_msgrcv SYS_msgsnd SYS_msync SYS_munlock
    SYS_munlockall SYS_munmap SYS_name_to_handle_at SYS_nanosleep SYS_newfstatat SYS_openat SYS_openat2
    SYS_pidfd_open SYS_pidfd_send_signal SYS_pipe2 SYS_pkey_alloc SYS_pkey_free SYS_pkey_mprotect SYS_ppoll
    SYS_prctl SYS_pread64 SYS_preadv SYS_preadv2 SYS_prlimit64 SYS_process_mrelease SYS_process_vm_readv
    SYS_process_vm_writev SYS_pselect6 SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read SYS_readahead
    SYS_readlinkat SYS_readv SYS_recvfrom SYS_recvmmsg SYS_recvmsg SYS_remap_file_pages SYS_removexattr SYS_renameat
    SYS_renameat2 SYS_restart_syscall SYS_rseq SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask
    SYS_rt_sigqueueinfo SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo
    SYS_sched_getaffinity SYS_sched_getattr SYS_sched_getparam SYS_sched_get_priority_max
    SYS_sched_get_priority_min SYS_sched_getscheduler SYS_sched_rr_get_interval SYS_sched_setaffinity
    SYS_sched_setattr SYS_sched_setparam SYS_sched_setscheduler SYS_sched_yield SYS_seccomp SYS_semctl SYS_semget
    SYS_semop SYS_semtimedop SYS_sendfile SYS_sendmmsg SYS_sendmsg SYS_sendto SYS_setfsgid SYS_setfsuid SYS_setgid
    SYS_setgroups SYS_setitimer SYS_setpgid SYS_setpriority SYS_setregid SYS_setresgid SYS_setresuid SYS_setreuid
    SYS_set_robust_list SYS_setsid SYS_setsockopt SYS_set_tid_address SYS_setuid SYS_setxattr SYS_shmat SYS_shmctl
    SYS_shmdt SYS_shmget SYS_shutdown SYS_sigaltstack SYS_signalfd4 SYS_socketpair SYS_splice SYS_statfs SYS_statx
    SYS_symlinkat SYS_sync SYS_sync_file_range SYS_syncfs SYS_sysinfo SYS_tee SYS_tgkill SYS_timer_create
    SYS_timer_delete SYS_timer_getoverrun SYS_timer_gettime SYS_timer_settime SYS_timerfd_create
    SYS_timerfd_gettime SYS_timerfd_settime SYS_times SYS_tkill SYS_truncate SYS_umask SYS_uname SYS_unlinkat
    SYS_utimensat SYS_vmsplice SYS_wait4 SYS_waitid SYS_write SYS_writev
    // Looked at by the second filter.
    SYS_clone3
);

/// Calls of older programs.
#[cfg(target_arch = "x86_64")]
const MORE: &[libc::c_long] = calls!(
    SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create SYS_epoll_ctl_old
    SYS_epoll_wait SYS_epoll_wait_old SYS_eventfd SYS_fork SYS_futimesat SYS_getdents SYS_getpgrp SYS_getrlimit
    SYS_get_thread_area SYS_inotify_init SYS_lchown SYS_link SYS_lstat SYS_memfd_secret SYS_mkdir SYS_mknod
    SYS_modify_ldt SYS_open SYS_pause SYS_pipe SYS_poll SYS_readlink SYS_rename SYS_rmdir SYS_select SYS_setrlimit
    SYS_set_thread_area SYS_signalfd SYS_stat SYS_symlink SYS_time SYS_unlink SYS_utime SYS_utimes SYS_vfork
);
/// Calls of older programs.
#[cfg(not(target_arch = "x86_64"))]
const MORE: &[libc::c_long] = &[];

/// The programs for the kernel, in the order in which they are to be applied.
///
/// # Errors
/// For people, where this kind of processor has no such filters.
pub(super) fn filters() -> Result<[BpfProgram; 3], seccompiler::Error> {
    let arch = std::env::consts::ARCH.try_into()?;
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let allowed = SeccompFilter::new(rules()?, refused, SeccompAction::Allow, arch)?;
    let missing = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
        arch,
    )?;
    // Nobody takes from the first process that it ends with its helper. Programs that set it for their own children are told
    // that it is so: all of them end with the first.
    let of_parent = Condition::new(0, Length::Dword, Op::Eq, u64::from(libc::PR_SET_PDEATHSIG.unsigned_abs()))?;
    let kept = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_prctl, vec![Rule::new(vec![of_parent])?])]),
        SeccompAction::Allow,
        SeccompAction::Errno(0),
        arch,
    )?;
    Ok([kept.try_into()?, missing.try_into()?, allowed.try_into()?])
}

/// Applies them to this process and everything that it starts, for ever.
pub(super) fn apply(filters: &[BpfProgram]) -> Result<(), seccompiler::Error> {
    filters.iter().try_for_each(|filter| seccompiler::apply_filter(filter))
}

fn rules() -> Result<BTreeMap<libc::c_long, Vec<Rule>>, seccompiler::Error> {
    let mut rules: BTreeMap<_, _> = COMMON.iter().chain(MORE).map(|call| (*call, Vec::new())).collect();
    let rule = |operator, value| Ok(Rule::new(vec![Condition::new(0, Length::Dword, operator, value)?])?);
    let no_namespace = rule(Op::MaskedEq(NAMESPACES), 0)?;
    rules.insert(libc::SYS_clone, vec![no_namespace]);
    let personalities = PERSONALITIES.into_iter().map(|value| rule(Op::Eq, value));
    rules.insert(libc::SYS_personality, personalities.collect::<Result<_, seccompiler::Error>>()?);
    let families = NO_FAMILIES.into_iter().map(|family| {
        Condition::new(0, Length::Dword, Op::Ne, u64::from(family.unsigned_abs())).map_err(seccompiler::Error::from)
    });
    rules.insert(libc::SYS_socket, vec![Rule::new(families.collect::<Result<_, _>>()?)?]);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_container_is_in_no_list() {
        let allowed = rules().expect("rules");
        for call in calls!(
            SYS_mount SYS_umount2 SYS_unshare SYS_setns SYS_pivot_root SYS_chroot SYS_bpf SYS_perf_event_open
            SYS_init_module SYS_finit_module SYS_kexec_load SYS_reboot SYS_keyctl SYS_add_key SYS_request_key
            SYS_open_by_handle_at SYS_fsopen SYS_fsmount SYS_move_mount SYS_open_tree SYS_userfaultfd SYS_swapon
            SYS_io_uring_setup SYS_io_setup SYS_ptrace SYS_syslog SYS_acct SYS_quotactl SYS_settimeofday SYS_clock_settime SYS_sethostname
        ) {
            assert!(!allowed.contains_key(call), "{call}");
        }
        assert!(filters().is_ok());
    }
}
