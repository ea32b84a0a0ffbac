//! `updraft image inspect`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use updraft_sign::inspect::SignatureState;
use updraft_sign::{Inspection, NamedKey, inspect};

use super::dump::Dump;
use super::{drawing, dump};
use crate::commands::key;
use crate::files::{self, Mode};
use crate::input::read;
use crate::output::{BAD, DIM, GOOD, HEADING, Output, WARN, styled};
use crate::report::Hint;

/// Options of `updraft image inspect`.
#[derive(clap::Args)]
#[command(after_help = "Shows what is there, whether or not it is valid; `updraft image verify` is
what decides. With --dump-of, the file is a whole flash, and the board's own bootloader is run on a
copy of it to tell what it will do.

Examples:
  updraft image inspect app.signed.bin
  updraft image inspect -k key.pub.pem app.signed.bin     and checks the signature
  updraft image inspect --json app.signed.bin
  updraft image inspect --svg app.svg app.signed.bin
  updraft image inspect --dump-of virtual-nor-4k -k key.pub.pem flash.bin")]
pub struct Args {
    /// The image: binary or Intel HEX.
    file: PathBuf,
    /// A key, private or public, to check signatures with; may be repeated.
    #[arg(short, long)]
    key: Vec<PathBuf>,
    /// Draw where each byte goes into a file.
    #[arg(long, value_name = "FILE", conflicts_with = "dump_of")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    dump: Dump,
}

/// Runs it.
pub fn run(args: &Args, out: &Output) -> anyhow::Result<()> {
    if let Some(board) = args.dump.board() {
        return dump::run(&args.file, board, &args.dump, &args.key, out);
    }
    let keys = args.key.iter().map(|path| {
        let key = key::load_public(path, out)?;
        Ok(NamedKey { name: path.display().to_string(), key })
    });
    let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
    let (file, _) = read(&args.file)?;
    let inspection = inspect(&file, &keys)
        .hint("`updraft image sign` makes an image of a build")
        .with_context(|| format!("{} is no image", args.file.display()))?;
    if let Some(path) = &args.svg {
        files::apart(&[path], &[&args.file])?;
        let title = format!("{}, version {}", args.file.display(), inspection.header.version);
        files::write(path, drawing::svg(&title, &inspection.regions).as_bytes(), Mode::Result)?;
    }
    out.result(&inspection, |to| {
        write!(to, "{}", styled(HEADING, args.file.display()))?;
        writeln!(to, "  version {}, {} bytes", inspection.header.version, inspection.size)?;
        writeln!(to)?;
        write!(to, "{}", drawing::draw(&inspection.regions, out.width()))?;
        writeln!(to)?;
        header(&inspection, to)?;
        tlvs(&inspection, out.width(), to)?;
        trailer(&inspection, to)?;
        for finding in &inspection.findings {
            writeln!(to, "{} {finding}", styled(WARN, "note:"))?;
        }
        Ok(())
    })
}

fn header(inspection: &Inspection, to: &mut dyn Write) -> std::io::Result<()> {
    let header = &inspection.header;
    writeln!(to, "{}", styled(HEADING, "Header"))?;
    writeln!(to, "  version         {}", header.version)?;
    writeln!(to, "  header size     {:#x}", header.header_size)?;
    writeln!(to, "  body            {} bytes", header.body_size)?;
    writeln!(to, "  protected TLVs  {} bytes", header.protected_tlv_size)?;
    writeln!(to, "  load address    {:#x}", header.load_addr)?;
    writeln!(to, "  flags           {}", header.flag_names)?;
    writeln!(to)
}

fn tlvs(inspection: &Inspection, width: usize, to: &mut dyn Write) -> std::io::Result<()> {
    if inspection.tlvs.is_empty() {
        return Ok(());
    }
    let name = inspection.tlvs.iter().map(|tlv| tlv.name.len()).max().unwrap_or(0);
    writeln!(to, "{}", styled(HEADING, "TLVs"))?;
    for tlv in &inspection.tlvs {
        let side = if tlv.protected { "protected" } else { "" };
        let start = format!("  {:>8x} {:>5}  {:name$}  {side:9}  ", tlv.offset, tlv.len, tlv.name);
        write!(to, "{start}")?;
        let signature = inspection.signatures.iter().find(|found| found.offset == tlv.offset);
        let text = tlv.meaning.clone().unwrap_or_default();
        let text = match signature.map(|signature| signature.state) {
            Some(SignatureState::Good) => styled(GOOD, text),
            Some(SignatureState::Wrong) => styled(BAD, text),
            _ => text,
        };
        let room = width.saturating_sub(start.chars().count()).max(16);
        let data = match tlv.data.len() {
            len if len > room => format!("{}…", &tlv.data[..room - 1]),
            _ => tlv.data.clone(),
        };
        match text.is_empty() {
            true => writeln!(to, "{}", styled(DIM, data))?,
            false => {
                writeln!(to, "{text}")?;
                writeln!(
                    to,
                    "{:indent$}{}",
                    "",
                    styled(DIM, data),
                    indent = start.chars().count()
                )?;
            }
        }
    }
    writeln!(to)
}

fn trailer(inspection: &Inspection, to: &mut dyn Write) -> std::io::Result<()> {
    let Some(trailer) = &inspection.trailer else {
        return Ok(());
    };
    writeln!(to, "{}", styled(HEADING, "Trailer"))?;
    writeln!(to, "  magic           good, for fields aligned to {}", trailer.max_align)?;
    writeln!(to, "  image_ok        {}", trailer.image_ok)?;
    writeln!(to, "  copy_done       {}", trailer.copy_done)?;
    writeln!(to, "  swap type       {}", trailer.swap_type)?;
    writeln!(to, "  asks for        {}", trailer.asks_for)?;
    writeln!(to)
}
