//! How the dashboard looks.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Gauge, Paragraph, Row, Sparkline, Table};
use serde_json::Value;

use super::dashboard::{Counter, Dashboard, Transfer};
use crate::output::size;
use crate::smp::{ImageState, LogEntry, Snapshot};

const HEADING: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
/// Columns of the narrowest screen with two columns of boxes.
const WIDE: u16 = 90;

/// Draws all of it. `device` says how the device is reached, `now` is the time of the dashboard.
pub fn draw(frame: &mut Frame<'_>, board: &Dashboard, device: &str, now: Duration) {
    let snapshot = &board.latest;
    let images = snapshot.images.as_deref().unwrap_or_default();
    let slots = images.len().max(1) as u16 + 3;
    let transfer = if board.transfer.is_some() { 3 } else { 0 };
    let [head, slot_box, gauge, middle, log, foot] = Layout::vertical([
        Constraint::Length(4),
        Constraint::Length(slots),
        Constraint::Length(transfer),
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    header(frame, head, board, device, now);
    let rows = images.iter().map(slot);
    let widths = [5, 4, 20, 16].map(Constraint::Length).into_iter().chain([Constraint::Fill(1)]);
    let table = Table::new(rows, widths)
        .header(Row::new(["image", "slot", "version", "hash", "state"]).style(HEADING))
        .block(titled("Slots"));
    match &snapshot.images {
        Some(_) => frame.render_widget(table, slot_box),
        None => frame.render_widget(lacking("Slots", "the device has no image group"), slot_box),
    }
    if let Some(transfer) = board.transfer {
        frame.render_widget(upload(transfer), gauge);
    }
    statistics(frame, middle, board);
    let lines = usize::from(log.height.saturating_sub(2));
    let newest: Vec<_> = board.log.iter().rev().take(lines).map(entry).collect();
    let widget = match newest.is_empty() {
        true => lacking("Log", "nothing yet, or the device has no logs to read"),
        false => Paragraph::new(newest.into_iter().rev().collect::<Vec<_>>()).block(titled("Log")),
    };
    frame.render_widget(widget, log);
    frame.render_widget(
        Line::from(vec![
            " q".bold(),
            " quit  ".into(),
            "space".bold(),
            if board.paused { " go on  ".into() } else { " pause  ".into() },
            "↑ ↓".bold(),
            " scroll statistics  ".into(),
            board.notice.as_deref().unwrap_or_default().into(),
        ]),
        foot,
    );
}

fn titled(title: &str) -> Block<'_> {
    Block::bordered().border_style(DIM).title(Span::styled(format!(" {title} "), HEADING))
}

fn lacking<'a>(title: &'a str, text: &'a str) -> Paragraph<'a> {
    Paragraph::new(text).style(DIM).block(titled(title))
}

fn header(frame: &mut Frame<'_>, area: Rect, board: &Dashboard, device: &str, now: Duration) {
    let [left, right] = match area.width >= WIDE {
        true => Layout::horizontal([Constraint::Fill(1), Constraint::Length(34)]).areas(area),
        false => [area, Rect::ZERO],
    };
    let Snapshot { board: name, bootloader, images, uptime_ms, .. } = &board.latest;
    let version = images.iter().flatten().find(|image| image.active);
    let mut what = vec![Span::styled(name.clone().unwrap_or_else(|| "device".into()), HEADING)];
    if let Some(image) = version {
        what.push(format!("  runs {}", image.version).into());
    }
    if let Some(loader) = bootloader.as_ref().and_then(|it| it.name.as_deref()) {
        what.push(Span::styled(format!("  started by {loader}"), DIM));
    }
    let state = match &board.away {
        Some((since, why)) => {
            let away = now.saturating_sub(*since);
            Line::from(vec![
                Span::styled(format!("away for {}", span(away)), Color::Red).bold(),
                format!("  {why}").into(),
            ])
        }
        None => {
            let up = uptime_ms.map(|ms| format!("up {}", span(Duration::from_millis(ms))));
            let restarts = match board.restarts {
                0 => None,
                1 => Some("restarted once".to_owned()),
                times => Some(format!("restarted {times} times")),
            };
            let known: Vec<_> = [up, restarts].into_iter().flatten().collect();
            let paused =
                if board.paused { Span::styled("paused  ", Color::Yellow) } else { "".into() };
            Line::from(vec![
                paused,
                Span::styled("there", Color::Green).bold(),
                "  ".into(),
                known.join(", ").into(),
            ])
        }
    };
    let lines = vec![Line::from(what), state];
    frame.render_widget(Paragraph::new(lines).block(titled(device)), left);
    let trips: Vec<u64> = board.round_trips.iter().copied().collect();
    let last = trips.last().map(|us| format!("Round trip {:.1} ms", *us as f64 / 1e3));
    let block = titled(last.as_deref().unwrap_or("Round trip"));
    let room = usize::from(right.width.saturating_sub(2));
    let shown = trips.get(trips.len().saturating_sub(room)..).unwrap_or_default();
    frame.render_widget(Sparkline::default().data(shown).block(block), right);
}

fn slot(image: &ImageState) -> Row<'_> {
    let flags = [
        (image.active, "active", Color::Green),
        (image.confirmed, "confirmed", Color::Green),
        (image.active && !image.confirmed, "on trial", Color::Yellow),
        (image.pending && !image.permanent, "pending (test)", Color::Yellow),
        (image.pending && image.permanent, "pending (permanent)", Color::Yellow),
        (!image.bootable, "not bootable", Color::Red),
    ];
    let mut state = Vec::new();
    for (_, name, color) in flags.into_iter().filter(|(set, ..)| *set) {
        if !state.is_empty() {
            state.push(Span::raw(", "));
        }
        state.push(Span::styled(name, color));
    }
    let hash = image.hash.as_deref().unwrap_or("-");
    Row::new([
        Cell::from(image.image.to_string()),
        Cell::from(image.slot.to_string()),
        Cell::from(image.version.as_str()),
        Cell::from(hash.get(..16).unwrap_or(hash)),
        Cell::from(Line::from(state)),
    ])
}

fn upload(transfer: Transfer) -> Gauge<'static> {
    let total = transfer.total.map(|total| format!(" of {}", size(total))).unwrap_or_default();
    let left = transfer.left().map(|left| format!(", {} left", span(left))).unwrap_or_default();
    let rate = size(transfer.rate as u64);
    Gauge::default()
        .ratio(transfer.ratio().unwrap_or(0.0))
        .label(format!("{}{total}, {rate}/s{left}", size(transfer.done)))
        .gauge_style(Color::Cyan)
        .block(titled("Upload"))
}

fn statistics(frame: &mut Frame<'_>, area: Rect, board: &Dashboard) {
    if board.counters.is_empty() {
        return frame.render_widget(lacking("Statistics", "the device has none to read"), area);
    }
    let columns = if area.width >= WIDE { 2 } else { 1 };
    let block = titled("Statistics");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let shown = board.counters.get(board.scroll..).unwrap_or_default();
    let boxes = Layout::horizontal(vec![Constraint::Fill(1); columns]).spacing(2).split(inner);
    for (counters, area) in shown.chunks(usize::from(inner.height).max(1)).zip(boxes.iter()) {
        let widths = [Constraint::Fill(1), Constraint::Length(14), Constraint::Length(12)];
        frame.render_widget(Table::new(counters.iter().map(counter), widths), *area);
    }
}

fn counter(counter: &Counter) -> Row<'_> {
    let name = Line::from(vec![
        Span::styled(format!("{} ", counter.group), DIM),
        Span::raw(counter.name.as_str()),
    ]);
    let rate = counter.rate.filter(|rate| *rate > 0.0).map(|rate| format!("{rate:.1}/s"));
    Row::new([
        Cell::from(name),
        Cell::from(Line::from(counter.value.to_string()).right_aligned()),
        Cell::from(Line::from(rate.unwrap_or_default()).style(Color::Cyan).right_aligned()),
    ])
}

fn entry(entry: &LogEntry) -> Line<'static> {
    let message = match &entry.message {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    // What a device says must not steer the terminal.
    let message: String = message.chars().filter(|it| !it.is_control()).collect();
    let color = match entry.level {
        ..=1 => Color::Reset,
        2 => Color::Yellow,
        _ => Color::Red,
    };
    let at = format!("{:>10.3} {} ", entry.timestamp as f64 / 1e6, entry.log);
    Line::from(vec![Span::styled(at, DIM), Span::styled(message, color)])
}

/// A time as people say it: two units at most.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let [days, hours, minutes] = [seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60];
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn screen(board: &Dashboard, [width, height]: [u16; 2]) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| draw(frame, board, "udp 127.0.0.1:1337", Duration::from_secs(75)))
            .unwrap();
        terminal.backend().to_string()
    }

    fn image(slot: u32, version: &str, active: bool) -> ImageState {
        ImageState {
            image: 0,
            slot,
            version: version.into(),
            hash: Some("00112233445566778899".into()),
            bootable: true,
            pending: !active,
            confirmed: active,
            active,
            permanent: false,
        }
    }

    fn board() -> Dashboard {
        let mut board = Dashboard::default();
        let entry = |index: u32, text: &str| LogEntry {
            log: "console".into(),
            index,
            timestamp: 1_500_000,
            module: 0,
            level: 1,
            message: text.into(),
        };
        let snapshot = Snapshot {
            board: Some("virtual-nor-4k".into()),
            images: Some(vec![image(0, "1.0.0", true), image(1, "1.1.0", false)]),
            uptime_ms: Some(3_725_000),
            round_trip_us: 1234,
            statistics: vec![("smp".into(), [("requests".to_owned(), 42)].into())],
            log: vec![entry(0, "started"), entry(1, "\u{1b}[2Jevil")],
            ..Snapshot::default()
        };
        board.saw(snapshot, Duration::from_secs(1));
        board
    }

    #[test]
    fn slots_versions_uptime_counters_and_the_log_are_on_the_screen() {
        let screen = screen(&board(), [110, 30]);
        for text in [
            "virtual-nor-4k  runs 1.0.0",
            "up 1 h 2 min",
            "0011223344556677",
            "active, confirmed",
            "pending (test)",
            "smp requests",
            "42",
            "Round trip 1.2 ms",
            "1.500 console started",
        ] {
            assert!(screen.contains(text), "{text:?} is not on\n{screen}");
        }
        assert!(!screen.contains("Upload"));
    }

    #[test]
    fn an_upload_has_a_bar_with_rate_and_time_left() {
        let mut board = board();
        board.uploading(Some(Transfer { done: 1 << 18, total: Some(1 << 20), rate: 65_536.0 }));
        let screen = screen(&board, [110, 30]);
        assert!(screen.contains("256 KiB of 1 MiB, 64 KiB/s, 12 s left"), "{screen}");
    }

    #[test]
    fn a_device_that_is_away_says_since_when() {
        let mut board = board();
        board.missed("no answer".into(), Duration::from_secs(5));
        assert!(screen(&board, [110, 30]).contains("away for 1 min 10 s  no answer"));
    }

    #[test]
    fn what_a_device_says_does_not_steer_the_terminal() {
        assert!(screen(&board(), [110, 30]).contains("console [2Jevil"));
    }

    #[test]
    fn any_size_of_a_terminal_will_do() {
        for size in [[1, 1], [20, 5], [40, 12], [80, 24], [300, 100]] {
            screen(&board(), size);
            screen(&Dashboard::default(), size);
        }
    }
}
