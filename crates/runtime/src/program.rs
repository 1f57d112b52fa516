//! Which of a task's input files may be run.

/// Whether a file that begins with `magic` is a program: a script that names its interpreter, or an ELF file.
pub fn is_program(magic: &[u8]) -> bool {
    magic.starts_with(b"#!") || magic.starts_with(b"\x7fELF")
}

#[cfg(test)]
mod tests {
    use super::is_program;

    #[test]
    fn scripts_and_elf_files_are_programs() {
        assert!(is_program(b"#!/b") && is_program(b"\x7fELF"));
        assert!(!is_program(b"") && !is_program(b"#") && !is_program(b"ELF") && !is_program(b"PK\x03\x04"));
    }
}
