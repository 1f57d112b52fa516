//! Programs of the owner beside which nothing runs.
//!
//! Invariant: a task that calls itself like one of them does not count.

use super::root::Root;

/// What the kernel keeps of a program's name, in bytes.
const NAME_BYTES: usize = 15;

/// See the module.
#[derive(Debug)]
pub struct Programs(Root);

impl Programs {
    /// Of the machine below `root`.
    #[must_use]
    pub fn new(root: Root) -> Self {
        Self(root)
    }

    /// The first of `names` that runs outside of the control group `ours`; `None` where none does. Costs a look at every
    /// process.
    #[must_use]
    pub fn read(&self, names: &[String], ours: &str) -> Option<String> {
        if names.is_empty() {
            return None;
        }
        let processes = self.0.names("proc").into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        processes.into_iter().find_map(|process| {
            let comm = self.0.line(&format!("proc/{process}/comm"))?;
            let name = names.iter().find(|name| cut(name) == comm.as_bytes())?;
            (!is_within(&self.0, &process, ours)).then(|| name.clone())
        })
    }
}

/// True where `process` is in the control group `ours` or one below it.
pub(super) fn is_within(root: &Root, process: &str, ours: &str) -> bool {
    let groups = root.text(&format!("proc/{process}/cgroup")).unwrap_or_default();
    !ours.is_empty() && groups.lines().any(|line| line.split('/').any(|part| part == ours))
}

fn cut(name: &str) -> &[u8] {
    name.as_bytes().get(..NAME_BYTES).unwrap_or(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::root::fake::Fake;
    use super::*;

    #[test]
    fn programs_are_found_and_tasks_are_not() {
        let fake = Fake::new();
        fake.file("proc/7/comm", "bash\n");
        fake.file("proc/8/comm", "a-very-long-nam\n");
        fake.file("proc/9/comm", "blender\n");
        fake.file("proc/9/cgroup", "3:cpu:/hivemind_a.slice/x\n0::/hivemind_a.slice/x\n");
        fake.file("proc/self/comm", "steam\n");
        fake.file("proc/10/stat", "");
        let programs = Programs::new(fake.root());
        let read = |names: &[&str], ours| {
            programs.read(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), ours)
        };
        assert_eq!(read(&["steam", "zsh", "bas"], ""), None);
        assert_eq!(read(&["steam", "bash"], "").as_deref(), Some("bash"));
        assert_eq!(read(&["a-very-long-name"], "").as_deref(), Some("a-very-long-name"));
        assert_eq!(read(&["blender"], "hivemind_a.slice"), None);
        assert_eq!(read(&["blender"], "hivemind_b.slice").as_deref(), Some("blender"));
        assert_eq!(read(&["blender"], "").as_deref(), Some("blender"));
    }
}
