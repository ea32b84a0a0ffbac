//! How a story is told: acts, remarks, and claims that have to hold.

use std::fmt::Display;
use std::time::Instant;

use anyhow::anyhow;
use serde::Serialize;

use crate::output::{BAD, GOOD, HEADING, Output, styled};

/// A claim and whether it held.
#[derive(Clone, Debug, Serialize)]
struct Claim {
    act: usize,
    claim: String,
    held: bool,
}

/// A story on its way.
#[derive(Debug)]
pub struct Telling<'o> {
    /// Where it is told.
    pub out: &'o Output,
    /// The act, from 1 on.
    pub act: usize,
    claims: Vec<Claim>,
    started: Instant,
}

impl<'o> Telling<'o> {
    /// The beginning.
    pub fn new(out: &'o Output) -> Self {
        Self { out, act: 0, claims: Vec::new(), started: Instant::now() }
    }

    /// The next act.
    pub fn act(&mut self, title: &str) -> anyhow::Result<()> {
        self.act += 1;
        self.out.line(format!("\n{}", styled(HEADING, format!("{}. {title}", self.act))))
    }

    /// A remark.
    pub fn say(&self, text: impl Display) -> anyhow::Result<()> {
        self.out.line(format!("  {text}"))
    }

    /// Something that has to be so.
    pub fn claim(&mut self, claim: impl Into<String>, held: bool) -> anyhow::Result<()> {
        let claim = claim.into();
        let mark = if held { styled(GOOD, "✓") } else { styled(BAD, "✗") };
        self.say(format!("{mark} {claim}"))?;
        self.claims.push(Claim { act: self.act, claim, held });
        Ok(())
    }

    /// The end: every claim once more. `Ok` only if all of them held.
    pub fn end(self) -> anyhow::Result<()> {
        let Self { out, claims, started, .. } = self;
        let held = claims.iter().filter(|claim| claim.held).count();
        let seconds = started.elapsed().as_secs_f64();
        let summary = serde_json::json!({
            "claims": claims, "held": held, "total": claims.len(), "seconds": seconds,
        });
        out.result(&summary, |w| {
            writeln!(w, "\n{}", styled(HEADING, "Summary"))?;
            for claim in &claims {
                let mark = if claim.held { styled(GOOD, "held  ") } else { styled(BAD, "FAILED") };
                writeln!(w, "  {mark} {}. {}", claim.act, claim.claim)?;
            }
            writeln!(w, "{held} of {} claims held, {seconds:.1} s", claims.len())
        })?;
        match held == claims.len() {
            true => Ok(()),
            false => Err(anyhow!("{} of {} claims failed", claims.len() - held, claims.len())),
        }
    }
}
