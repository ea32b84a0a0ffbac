//! The button that asks for a rollback, and what is done about it.
//!
//! Sans-IO: whoever has a pin and a clock samples the one and passes the other in.

use core::time::Duration;

/// How a press has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Pressed at the moment when the image has been checked, as in the original.
    Sampled,
    /// Held without a break for this long, counted from the reset, so that the time that upgrade
    /// and validation take counts too.
    For(Duration),
}

/// What has become of the button so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// It is not what is asked for, and will not be.
    No,
    /// It is held, but not for long enough yet.
    Holding {
        /// When to look again at the latest.
        until: Duration,
    },
    /// It asks for a rollback.
    Yes,
}

/// Follows the button from the reset on.
#[derive(Clone, Copy, Debug)]
pub struct Button {
    hold: Hold,
    pressed: bool,
    broken: bool,
}

impl Button {
    /// At the reset; `pressed` is what the pin says then.
    pub const fn at_reset(hold: Hold, pressed: bool) -> Self {
        Self { hold, pressed, broken: !pressed }
    }

    /// What the pin says `since_reset`. To be called as often as is convenient: a release between
    /// two samples is not noticed.
    pub fn sample(&mut self, pressed: bool, since_reset: Duration) -> Press {
        self.pressed = pressed;
        self.broken |= !pressed;
        match self.hold {
            Hold::Sampled if pressed => Press::Yes,
            Hold::Sampled => Press::No,
            Hold::For(_) if self.broken => Press::No,
            Hold::For(hold) if since_reset >= hold => Press::Yes,
            Hold::For(until) => Press::Holding { until },
        }
    }

    /// In the prompt, a press counts when the button is released, also if it was held all along.
    /// Returns whether it was just released.
    pub fn released(&mut self, pressed: bool) -> bool {
        let released = self.pressed && !pressed;
        self.pressed = pressed;
        released
    }
}

/// What to do after the bootloader has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start what it found.
    Start,
    /// Roll back.
    RollBack,
    /// There is nothing to start: ask for the button, and wait for it to be released.
    Prompt,
}

/// The decision, from whether there is an image to start and what the button says.
pub fn decide(image: bool, press: Press) -> Decision {
    match (image, press) {
        (true, Press::Yes) => Decision::RollBack,
        (true, Press::No | Press::Holding { .. }) => Decision::Start,
        // Held from the reset on, it was not pressed on the prompt.
        (false, _) => Decision::Prompt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_sampled_button_counts_at_that_moment_only() {
        let mut button = Button::at_reset(Hold::Sampled, false);
        assert_eq!(button.sample(true, at(800)), Press::Yes);
        let mut button = Button::at_reset(Hold::Sampled, true);
        assert_eq!(button.sample(false, at(800)), Press::No);
    }

    #[test]
    fn a_held_button_counts_from_the_reset_on_and_costs_no_time_otherwise() {
        let hold = Hold::For(at(5000));
        let mut button = Button::at_reset(hold, true);
        assert_eq!(button.sample(true, at(1200)), Press::Holding { until: at(5000) });
        assert_eq!(button.sample(true, at(5000)), Press::Yes);
        let mut button = Button::at_reset(hold, false);
        assert_eq!(button.sample(true, at(9000)), Press::No, "not pressed at the reset");
        let mut button = Button::at_reset(hold, true);
        assert_eq!(button.sample(false, at(1200)), Press::No);
        assert_eq!(button.sample(true, at(9000)), Press::No, "released in between");
    }

    #[test]
    fn the_prompt_waits_for_a_release() {
        let mut button = Button::at_reset(Hold::Sampled, true);
        assert!(!button.released(true));
        assert!(button.released(false));
        assert!(!button.released(false));
        assert!(!button.released(true));
        assert!(button.released(false));
    }

    #[test]
    fn without_an_image_there_is_only_the_prompt() {
        for press in [Press::No, Press::Yes, Press::Holding { until: at(1) }] {
            assert_eq!(decide(false, press), Decision::Prompt);
        }
        assert_eq!(decide(true, Press::No), Decision::Start);
        assert_eq!(decide(true, Press::Yes), Decision::RollBack);
    }
}
