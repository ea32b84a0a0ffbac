//! How deep the stack of a program gets, by its assembly: the frame of every function, and who
//! calls whom.
//!
//! A call through a pointer may go to every function whose address is taken, unless the register was
//! loaded with a constant: so the compiler calls what is called often. Each function counts once on
//! a path: none of ours calls itself. Where functions may call each other in a circle, as by pointers, what
//! is found depends on where one begins: names are gone through in their order, so that it is always the same.

use std::collections::{BTreeMap, BTreeSet};

/// Bytes for what is not in the assembly: the compiler's own routines, such as `memcpy`.
const ROUTINES: u32 = 64;

#[derive(Debug, Default)]
struct Function {
    frame: u32,
    calls: BTreeSet<String>,
    calls_by_pointer: bool,
}

/// The deepest path from `entry` on, in bytes; `None` if there is no such function.
pub fn depth(assembly: &str, entry: &str) -> Option<u32> {
    let (functions, pointed_at) = read(assembly);
    functions.contains_key(entry).then(|| {
        let mut walk =
            Walk { functions: &functions, pointed_at: &pointed_at, known: BTreeMap::new() };
        walk.below(entry, &mut Vec::new()) + ROUTINES
    })
}

/// The functions by name, and those whose address is taken.
fn read(assembly: &str) -> (BTreeMap<String, Function>, BTreeSet<String>) {
    let mut functions = BTreeMap::<String, Function>::new();
    let mut names = BTreeSet::new();
    let mut label = "";
    let mut current: Option<(String, Function)> = None;
    // Constants by label, and by register where they are.
    let mut constants = BTreeMap::new();
    let mut constant = None;
    let mut registers_hold = BTreeMap::new();
    for line in assembly.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|name| name.starts_with(".LCPI")) {
            constant = Some(name);
            continue;
        }
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with('.')) {
            label = name;
            if let Some((current, _)) = &mut current {
                label.clone_into(current);
            }
            continue;
        }
        let mut words = line.split_whitespace();
        let (word, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if let (".long", Some(name)) = (word, constant.take()) {
            constants.insert(name.to_owned(), rest.to_owned());
        }
        // Whether an instruction is a wide one changes nothing.
        let word = word.trim_end_matches(".w");
        let register = rest.trim_end_matches(',');
        match (word, &mut current) {
            (".fnstart", _) => {
                registers_hold.clear();
                current = Some((label.to_owned(), Function::default()));
            }
            (".fnend", _) => functions.extend(current.take()),
            (".save", Some((_, function))) => function.frame += 4 * registers(line),
            (".vsave", Some((_, function))) => function.frame += 8 * registers(line),
            (".pad", Some((_, function))) => {
                function.frame += rest.trim_start_matches('#').parse().unwrap_or(0);
            }
            ("ldr", Some(_)) => {
                let from = words.next().filter(|from| from.starts_with(".LCPI"));
                registers_hold.insert(register.to_owned(), from);
            }
            ("mov", Some(_)) => {
                let held = words.next().and_then(|from| registers_hold.get(from).copied());
                registers_hold.insert(register.to_owned(), held.flatten());
            }
            ("blx", Some((_, function))) => match registers_hold.get(register) {
                Some(Some(constant)) => drop(function.calls.insert((*constant).to_owned())),
                _ => function.calls_by_pointer = true,
            },
            ("ldm" | "pop", Some(_)) => registers_hold.clear(),
            ("ldrd" | "umull" | "umlal" | "umaal", Some(_)) => {
                let second = words.next().unwrap_or_default().trim_end_matches(',');
                registers_hold.retain(|held, _| held != register && held != second);
            }
            ("bl" | "b", Some((_, function))) if !rest.starts_with('.') => {
                function.calls.insert(rest.to_owned());
            }
            (".long" | "movw", _) => {
                let symbol = line.split([' ', '\t', ':', ',']).rfind(|word| !word.is_empty());
                registers_hold.insert(register.to_owned(), symbol.filter(|_| word == "movw"));
                names.extend(symbol.map(str::to_owned));
            }
            // The other half of the same address.
            ("movt", _) => {}
            // These only read their first register.
            ("str" | "strb" | "strh" | "strd" | "stm" | "push", _) => {}
            ("cbz" | "cbnz" | "cmp" | "cmn" | "tst", _) => {}
            _ => drop(registers_hold.remove(register)),
        }
    }
    for function in functions.values_mut() {
        let calls = std::mem::take(&mut function.calls);
        let named = |call: String| constants.get(&call).cloned().unwrap_or(call);
        function.calls = calls.into_iter().map(named).collect();
    }
    let pointed_at = names.into_iter().filter(|name| functions.contains_key(name)).collect();
    (functions, pointed_at)
}

/// How many registers `{r4, r5-r7, lr}` are.
fn registers(line: &str) -> u32 {
    let list = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let number = |name: &str| name.trim().trim_start_matches(['r', 'd']).parse::<u32>().ok();
    let ranges =
        list.map_or("", |(list, _)| list).split(',').map(|part| match part.split_once('-') {
            Some((from, to)) => match (number(from), number(to)) {
                (Some(from), Some(to)) => to.saturating_sub(from) + 1,
                _ => 1,
            },
            None => 1,
        });
    ranges.sum()
}

struct Walk<'w> {
    functions: &'w BTreeMap<String, Function>,
    pointed_at: &'w BTreeSet<String>,
    known: BTreeMap<&'w str, u32>,
}

impl<'w> Walk<'w> {
    fn below(&mut self, name: &str, path: &mut Vec<&'w str>) -> u32 {
        let Some((name, function)) = self.functions.get_key_value(name) else { return 0 };
        if path.contains(&name.as_str()) {
            return 0;
        }
        if let Some(known) = self.known.get(name.as_str()) {
            return *known;
        }
        path.push(name);
        let pointers = self.pointed_at.iter().filter(|_| function.calls_by_pointer);
        let callees: Vec<_> = function.calls.iter().chain(pointers).collect();
        let deepest = callees.into_iter().map(|callee| self.below(callee, path)).max();
        path.pop();
        let depth = function.frame + deepest.unwrap_or(0);
        self.known.insert(name, depth);
        depth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "\
entry:
\t.fnstart
\t.save\t{r4, r5, r6, r7, lr}
\t.pad\t#100
\tldr\tr5, .LCPI0_0
\tblx\tr5
\tblx\tr3
\tb\t.LBB0_1
.LCPI0_0:
\t.long\tleft
\t.fnend
left:
\t.fnstart
\t.save\t{r4-r7, lr}
\tb\tentry
\t.fnend
pointed:
\t.fnstart
\t.pad\t#300
\tbl\t__aeabi_memcpy
\t.fnend
vtable:
\t.long\tpointed
";

    #[test]
    fn the_deepest_path_counts_and_no_function_twice() {
        assert_eq!(depth(CODE, "left"), Some(20 + 20 + 100 + 300 + ROUTINES));
        assert_eq!(depth(CODE, "entry"), Some(20 + 100 + 300 + ROUTINES));
        assert_eq!(depth(CODE, "nobody"), None);
    }

    #[test]
    fn a_program_with_a_circle_of_calls_is_found_to_be_as_deep_every_time() {
        let function = |name: &str, frame: u32, calls: &[&str]| {
            let calls: String = calls.iter().map(|call| format!("\tbl\t{call}\n")).collect();
            format!("{name}:\n\t.fnstart\n\t.pad\t#{frame}\n{calls}\t.fnend\n")
        };
        let code = function("main", 4, &["first", "second"])
            + &function("first", 8, &["second", "last"])
            + &function("second", 16, &["first"])
            + &function("last", 32, &[]);
        let once = depth(&code, "main");
        for _ in 0..64 {
            assert_eq!(depth(&code, "main"), once);
        }
    }

    #[test]
    fn registers_are_counted_one_by_one_and_in_ranges() {
        assert_eq!(registers("\t.save\t{r4, r5-r7, lr}"), 5);
        assert_eq!(registers("\t.vsave\t{d8, d9}"), 2);
    }
}
