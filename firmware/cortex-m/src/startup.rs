//! From the reset to `main`, and from the bootloader to the application.

use core::arch::{asm, global_asm};

use crate::{Register, sleep};

// The table that the processor reads after a reset; `main` comes from the program. Sixteen entries
// do, as interrupts are masked from the first instruction on: they only wake a processor that
// sleeps. A program that takes interrupts puts their handlers behind the table, in the section
// `.vectors.interrupts`. The first warning of a watchdog may come as an NMI: nothing
// feeds it from then on, unless the board has an `_nmi` of its own. Every fault resets the chip, so that an image under test that crashes is
// reverted. Where floating-point numbers are passed in registers of their own, compilers use those
// registers as they like, and the unit is off after a reset.
global_asm!(
    ".syntax unified",
    ".section .vectors, \"a\", %progbits",
    ".word _stack_top",
    ".word _reset",
    ".word _nmi",
    ".rept 12",
    ".word _fault",
    ".endr",
    ".word _tick",
    ".section .text.start, \"ax\", %progbits",
    ".global _reset",
    ".type _reset, %function",
    ".thumb_func",
    "_reset:",
    "cpsid i",
    ".if {float}",
    "ldr r0, =0xe000ed88",
    "ldr r1, [r0]",
    "orr r1, r1, #0xf00000",
    "str r1, [r0]",
    "dsb",
    "isb",
    ".endif",
    "ldr r0, =_bss_start",
    "ldr r1, =_bss_end",
    "movs r2, #0",
    "1: cmp r0, r1",
    "bhs 2f",
    "stm r0!, {{r2}}",
    "b 1b",
    "2: ldr r0, =_data_start",
    "ldr r1, =_data_end",
    "ldr r2, =_data_load",
    "3: cmp r0, r1",
    "bhs 4f",
    "ldm r2!, {{r3}}",
    "stm r0!, {{r3}}",
    "b 3b",
    "4: bl main",
    ".global _hang",
    ".type _hang, %function",
    ".thumb_func",
    "_hang: b _hang",
    ".global _fault",
    ".type _fault, %function",
    ".thumb_func",
    "_fault:",
    "ldr r0, =0xe000ed0c",
    "ldr r1, =0x05fa0004",
    "str r1, [r0]",
    "b _fault",
    ".ltorg",
    float = const cfg!(target_abi = "eabihf") as u32,
);

/// Makes `$main`, a function that never returns, the one that runs after the start-up; and has
/// every panic reset the chip.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        // SAFETY: the start-up calls this, and there is one program.
        #[unsafe(no_mangle)]
        extern "C" fn main() -> ! {
            $main()
        }

        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            $crate::reset(0)
        }
    };
}

/// Puts `$text`, bytes, near the beginning of the image.
#[macro_export]
macro_rules! description {
    ($name:ident, $text:expr) => {
        // SAFETY: the section holds nothing else.
        #[unsafe(link_section = ".description")]
        #[used]
        static $name: [u8; $text.len()] = *$text;
    };
}

/// Vector table offset. A Cortex-M0 has no such register and ignores this: there interrupts go on
/// to arrive at the bootloader's table.
const VTOR: u32 = 0xe000_ed08;

/// Starts the program whose vector table is at `table`.
///
/// # Safety
/// There has to be one: stack pointer and entry are taken from it.
pub unsafe fn jump(table: u32) -> ! {
    // SAFETY: a register, or ignored.
    unsafe { Register::at(VTOR) }.write(table);
    sleep::forget();
    // SAFETY: the caller says that this is a vector table.
    let [stack, entry] = unsafe { (table as *const [u32; 2]).read_volatile() };
    // SAFETY: nothing of this program is used any more.
    unsafe {
        asm!(
            "msr msp, {stack}",
            "dsb",
            "isb",
            "cpsie i",
            "bx {entry}",
            stack = in(reg) stack,
            entry = in(reg) entry,
            options(noreturn)
        )
    }
}
