//! What criterion prints, as a table.

/// A row for each bench: its name, the time it takes and, if it counts something, how much of that
/// it does in a second. Of criterion's three figures, the middle one is the estimate.
pub fn table(printed: &str) -> String {
    let mut rows: Vec<[String; 3]> = Vec::new();
    let mut name = String::new();
    for line in printed.lines() {
        if let Some((before, figures)) = line.split_once("time:") {
            let own = before.trim();
            let named = if own.is_empty() { &name } else { own };
            rows.push([named.to_owned(), estimate(figures), String::new()]);
        } else if let Some((_, figures)) = line.split_once("thrpt:") {
            if let Some([.., rate]) = rows.last_mut() {
                *rate = estimate(figures);
            }
        } else if !line.trim().is_empty() {
            name = line.trim().to_owned();
        }
    }
    let rows = rows.into_iter().map(|[name, time, rate]| format!("| {name} | {time} | {rate} |\n"));
    format!("| | time | in a second |\n|---|--:|--:|\n{}", rows.collect::<String>())
}

/// The middle one of `[1.0 ms 1.1 ms 1.2 ms]`.
fn estimate(figures: &str) -> String {
    let words: Vec<&str> = figures.trim().trim_matches(['[', ']']).split_whitespace().collect();
    match words[..] {
        [_, _, value, unit, _, _] => format!("{value} {}", unit.trim_end_matches("/s")),
        _ => figures.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_bench_is_a_row() {
        let printed = "boot/hash    time:   [1.0 ms 1.1 ms 1.2 ms]\n\
                       boot/a name that takes a line of its own\n   \
                       time:   [3.0 s 3.1 s 3.2 s]\n  thrpt:  [1.0 Kelem/s 1.1 Kelem/s 1.2 Kelem/s]\n";
        let table = super::table(printed);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        let long = "| boot/a name that takes a line of its own | 3.1 s | 1.1 Kelem |";
        assert_eq!(rows, ["| boot/hash | 1.1 ms |  |", long]);
    }
}
