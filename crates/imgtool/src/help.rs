//! What `-h` prints.

use crate::command_line::{Command, Opt, Takes};
use crate::commands::COMMANDS;

const WIDTH: usize = 80;
/// Where descriptions begin, unless all names are shorter.
const COLUMN: usize = 34;
const HELP: (&str, &str) = ("-h, --help", "Print this and leave.");

/// All commands.
pub fn overview(program: &str) -> String {
    let mut rows: Vec<_> = COMMANDS
        .iter()
        .map(|command| (command.name.to_owned(), command.about.to_owned()))
        .collect();
    rows.push(("create".into(), "Another name of `sign`.".into()));
    rows.sort();
    let about = "Makes and checks MCUboot images and their keys, as imgtool 2.5.0 does.";
    format!(
        "Usage: {program} [OPTIONS] COMMAND [ARGS]...\n\n  {about}\n\nOptions:\n{}\nCommands:\n{}",
        table(&[(HELP.0.into(), HELP.1.into())]),
        table(&rows)
    )
}

/// How a command is used that was called `name`, in a line.
pub fn usage(program: &str, name: &str, command: &Command) -> String {
    let arguments: String = command.arguments.iter().map(|name| format!(" {name}")).collect();
    format!("Usage: {program} {name} [OPTIONS]{arguments}")
}

/// One command, which was called `name`.
pub fn of(program: &str, name: &str, command: &Command) -> String {
    let mut rows: Vec<_> = command.options.iter().map(row).collect();
    rows.push((HELP.0.into(), HELP.1.into()));
    let mut about = String::new();
    wrap(&mut about, command.about, 2);
    format!("{}\n\n  {about}\nOptions:\n{}", usage(program, name, command), table(&rows))
}

fn row(option: &Opt) -> (String, String) {
    let short = option.short.map_or(String::new(), |short| format!("-{short}, "));
    let takes = match option.takes {
        Takes::Nothing => String::new(),
        Takes::Text(name) | Takes::Named(name, _) | Takes::Pair(name) => format!(" {name}"),
        Takes::Choice(choices) => format!(" [{}]", choices.join("|")),
        Takes::Based | Takes::Decimal => " INTEGER".into(),
    };
    let required = if option.required { "  [required]" } else { "" };
    let help = format!("{}{required}", option.help);
    (format!("{short}{}{takes}", option.long), help.trim_start().to_owned())
}

fn table(rows: &[(String, String)]) -> String {
    let longest = rows.iter().map(|(name, _)| name.len() + 4).max().unwrap_or_default();
    let column = longest.min(COLUMN);
    let mut text = String::new();
    for (name, about) in rows {
        text += &format!("  {name}");
        match name.len() + 4 > column {
            true => text += &format!("\n{:column$}", ""),
            false => text += &" ".repeat(column - 2 - name.len()),
        }
        wrap(&mut text, about, column);
    }
    text
}

/// Adds words, in lines that begin at a column.
fn wrap(text: &mut String, words: &str, column: usize) {
    let mut at = column;
    for (number, word) in words.split_whitespace().enumerate() {
        if number > 0 && at + 1 + word.len() > WIDTH {
            *text += &format!("\n{:column$}", "");
            at = column;
        } else if number > 0 {
            *text += " ";
            at += 1;
        }
        *text += word;
        at += word.len();
    }
    *text += "\n";
}
