//! Arithmetic modulo the prime of a curve, by formulas that are data: a list of steps between
//! registers takes two bytes a step, where calls of functions would take twenty.

use core::marker::PhantomData;

use super::limbs::{self, Limbs, Wide, ZERO};

/// A prime, and how to divide by it.
pub trait Prime {
    const MODULUS: Limbs;

    /// The product of two numbers below the prime, brought back below it, as the field's numbers are
    /// represented.
    fn reduce(product: &mut Wide, result: &mut Limbs);
}

/// Sixteen numbers below the prime `P`.
pub struct Registers<P> {
    numbers: [Limbs; 16],
    prime: PhantomData<P>,
}

/// What a step does with two registers, and which ones: four bits each for that, for the register
/// that takes the result and for both operands.
#[derive(Clone, Copy)]
pub struct Step(u16);

impl Step {
    pub const MULTIPLY: u16 = 0;
    pub const ADD: u16 = 1;
    pub const SUBTRACT: u16 = 2;
    const COPY: u16 = 3;

    pub const fn new(operation: u16, to: usize, a: usize, b: usize) -> Self {
        assert!(to < 16 && a < 16 && b < 16);
        Self((operation << 12) | ((to << 8) | (a << 4) | b) as u16)
    }
}

/// Steps, as `to = a · b`, `to = a + b` or `to = a - b` of constants that name registers.
macro_rules! formula {
    ($($to:ident = $a:ident $operation:tt $b:ident;)*) => {
        &[$(Step::new(formula!(@ $operation), $to, $a, $b)),*]
    };
    (@ *) => { Step::MULTIPLY };
    (@ +) => { Step::ADD };
    (@ -) => { Step::SUBTRACT };
}
pub(super) use formula;

impl<P: Prime> Registers<P> {
    pub const EMPTY: Self = Self { numbers: [ZERO; 16], prime: PhantomData };

    pub fn number(&self, register: usize) -> &Limbs {
        &self.numbers[register % 16]
    }

    /// Sets a register to what the caller knows to be below the prime.
    pub fn set(&mut self, register: usize, number: &Limbs) {
        self.numbers[register % 16] = *number;
    }

    pub fn copy(&mut self, to: usize, from: usize) {
        self.step(Step::COPY, to, from, from);
    }

    pub fn is_zero(&self, register: usize) -> bool {
        *self.number(register) == ZERO
    }

    pub fn is_below_prime(&self, register: usize) -> bool {
        limbs::is_less(self.number(register), &P::MODULUS)
    }

    pub fn run(&mut self, formula: &[Step]) {
        for Step(step) in formula {
            let [to, a, b] = [8, 4, 0].map(|shift| usize::from(step >> shift));
            self.step(step >> 12, to, a, b);
        }
    }

    #[inline(never)]
    fn step(&mut self, operation: u16, to: usize, a: usize, b: usize) {
        if operation == Step::MULTIPLY {
            let mut product = [0; 16];
            limbs::multiply(&mut product, self.number(a), self.number(b));
            return P::reduce(&mut product, &mut self.numbers[to % 16]);
        }
        let mut result = *self.number(a);
        match operation {
            Step::ADD => limbs::add_modulo(&mut result, self.number(b), &P::MODULUS),
            Step::SUBTRACT => limbs::subtract_modulo(&mut result, self.number(b), &P::MODULUS),
            _ => {}
        }
        self.set(to, &result);
    }
}
