//! A linked bootloader: which function an instruction belongs to, and what is arithmetic.

use std::path::Path;

/// Functions whose instructions are carried out and not skipped: the hash functions, and the
/// arithmetic of curves with what it is made of. What calls them, what compares their results and
/// what concludes from that is none of it, wherever it stands.
const ARITHMETIC: [&str; 8] = [
    "sha2::",
    "block_buffer::",
    "digest::",
    "software::sha512::",
    "software::limbs::",
    "software::field::",
    "software::straus::",
    "software::p256::Curve",
];

/// What looks like arithmetic by its place, and says yes or no.
const COMPARISONS: [&str; 3] = ["::is_zero", "::is_less", "::is_below_prime"];

/// A function of the program.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub start: u32,
    pub end: u32,
    /// Whether it is hash or curve arithmetic.
    pub arithmetic: bool,
}

/// A program as its linker made it.
#[derive(Clone, Debug)]
pub struct Program {
    functions: Vec<Function>,
    symbols: Vec<(String, u32)>,
    /// What is loaded, from address 0 on.
    code: Vec<u8>,
}

impl Program {
    /// Reads a 32-bit little-endian ELF file that begins at address 0.
    pub fn read(path: &Path) -> Self {
        let file =
            std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let half = |at: usize| u16::from_le_bytes(file[at..at + 2].try_into().unwrap());
        let mut code = Vec::new();
        for at in (0..half(44)).map(|n| word(28) as usize + usize::from(n * half(42))) {
            let [kind, from, address, size] = [0, 4, 12, 16].map(|field| word(at + field) as usize);
            if kind == 1 && size > 0 {
                code.resize(code.len().max(address + size), 0);
                code[address..address + size].copy_from_slice(&file[from..from + size]);
            }
        }
        let (mut functions, mut symbols) = (Vec::new(), Vec::new());
        let section = |n: usize| word(32) as usize + n * usize::from(half(46));
        for table in (0..usize::from(half(48))).map(section).filter(|at| word(at + 4) == 2) {
            let names = word(section(word(table + 24) as usize) + 16) as usize;
            let (start, size) = (word(table + 16) as usize, word(table + 20) as usize);
            for at in (start..start + size).step_by(16) {
                let name = &file[names + word(at) as usize..];
                let name = name.split(|byte| *byte == 0).next().unwrap();
                let name = readable(&String::from_utf8_lossy(name));
                let (value, size) = (word(at + 4), word(at + 8));
                if file[at + 12] & 15 == 2 {
                    let arithmetic = ARITHMETIC.iter().any(|part| name.contains(part))
                        && !COMPARISONS.iter().any(|part| name.ends_with(part));
                    let start = value & !1;
                    let name = name.clone();
                    functions.push(Function { name, start, end: start + size, arithmetic });
                }
                symbols.push((name, value));
            }
        }
        functions.sort_by_key(|function: &Function| function.start);
        // Routines in assembly have no size of their own: they go on to the next one.
        let starts: Vec<u32> = functions.iter().map(|function| function.start).collect();
        for function in functions.iter_mut().filter(|function| function.end == function.start) {
            let next = starts.iter().find(|start| **start > function.start);
            function.end = next.copied().unwrap_or(function.start);
        }
        assert!(!functions.is_empty(), "{} has no symbols", path.display());
        Self { functions, symbols, code }
    }

    /// The function that the instruction at `address` is in.
    pub fn function(&self, address: u32) -> Option<&Function> {
        let at = self.functions.partition_point(|function| function.start <= address);
        self.functions[..at].last().filter(|function| address < function.end)
    }

    /// Whether arithmetic may call what the instruction at `address` is in: routines for memory,
    /// comparisons, pieces of code that functions have in common.
    pub fn is_shared(&self, address: u32) -> bool {
        self.function(address).is_none_or(|function| {
            let name = &function.name;
            !name.contains("::") || COMPARISONS.iter().any(|part| name.ends_with(part))
        })
    }

    /// Where the symbol is whose name ends so.
    pub fn symbol(&self, name: &str) -> u32 {
        let found = self.symbols.iter().find(|(known, _)| known.ends_with(name));
        found.unwrap_or_else(|| panic!("the program has no `{name}`")).1 & !1
    }

    /// Every place of an instruction of two bytes, or of data that looks like it.
    pub fn places(&self, instruction: u16) -> impl Iterator<Item = u32> {
        let halves = self.code.chunks_exact(2).zip((0..).step_by(2));
        halves.filter(move |(half, _)| **half == instruction.to_le_bytes()).map(|(_, at)| at)
    }

    /// The first half of the instruction at `address`.
    pub fn instruction(&self, address: u32) -> u16 {
        let half = self.code.get(address as usize..).and_then(|rest| rest.first_chunk());
        half.copied().map_or(0, u16::from_le_bytes)
    }

    /// Bytes of the instruction at `address`.
    pub fn len(&self, address: u32) -> u32 {
        if self.instruction(address) >= 0xe800 { 4 } else { 2 }
    }

    /// Everything that is loaded.
    pub fn code(&self) -> &[u8] {
        &self.code
    }

    /// Where functions begin that are arithmetic.
    pub fn arithmetic_entries(&self) -> impl Iterator<Item = u32> {
        self.functions.iter().filter(|function| function.arithmetic).map(|function| function.start)
    }

    /// Functions that are not skipped in, and how many bytes they have.
    pub fn arithmetic(&self) -> (Vec<&str>, u32) {
        let all = self.functions.iter().filter(|function| function.arithmetic);
        let size = all.clone().map(|function| function.end - function.start).sum();
        let mut names: Vec<&str> = all.map(|function| &*function.name).collect();
        names.dedup();
        (names, size)
    }
}

/// The path that a compiler has made the symbol of.
fn readable(symbol: &str) -> String {
    let Some(mut rest) = symbol.strip_prefix("_ZN") else { return symbol.to_owned() };
    let mut parts = Vec::new();
    while let Some(digits) = rest.find(|c: char| !c.is_ascii_digit()).filter(|n| *n > 0) {
        let Some(len) = rest[..digits].parse::<usize>().ok() else { break };
        let Some(part) = rest.get(digits..digits + len) else { break };
        parts.push(part);
        rest = &rest[digits + len..];
    }
    // The last part tells instances of a generic function apart.
    parts.pop();
    let signs = [
        ("_$LT$", "<"),
        ("$LT$", "<"),
        ("$GT$", ">"),
        ("$u20$", " "),
        ("$RF$", "&"),
        ("$C$", ","),
        ("..", "::"),
    ];
    signs.iter().fold(parts.join("::"), |path, (code, sign)| path.replace(code, sign))
}

#[test]
fn symbols_are_readable() {
    let symbol = "_ZN13updraft_image8hardened8Decision6is_yes17h0123456789abcdefE";
    assert_eq!(readable(symbol), "updraft_image::hardened::Decision::is_yes");
    assert_eq!(
        readable("_ZN29_$LT$a..B$u20$as$u20$c..D$GT$1e17h0123456789abcdefE"),
        "<a::B as c::D>::e"
    );
    assert_eq!(readable("_reset"), "_reset");
}
