//! The routines that the compiler calls by itself, as small as those of a small C library: copying,
//! filling and comparing memory, and division where the processor has none. The toolchain's own are
//! made for speed and take 2 KB; what a bootloader moves in large amounts goes by way of its flash
//! driver.
//!
//! A program that is to have them says `use firmware_routines as _;`.
#![no_std]
#![cfg(target_arch = "arm")]

use core::arch::global_asm;

global_asm!(
    ".syntax unified",
    ".section .text.copy, \"ax\", %progbits",
    ".global memcpy, __aeabi_memcpy, __aeabi_memcpy4, __aeabi_memcpy8",
    // Whole words of what is aligned, after the bytes behind the last one.
    ".thumb_func",
    "__aeabi_memcpy8:",
    ".thumb_func",
    "__aeabi_memcpy4:",
    "lsls r3, r2, #30",
    "beq 1f",
    "subs r2, #1",
    "ldrb r3, [r1, r2]",
    "strb r3, [r0, r2]",
    "b __aeabi_memcpy4",
    "1: subs r2, #4",
    "blo 2f",
    "ldr r3, [r1, r2]",
    "str r3, [r0, r2]",
    "b 1b",
    ".thumb_func",
    "memcpy:",
    ".thumb_func",
    "__aeabi_memcpy:",
    "subs r2, #1",
    "blo 2f",
    "ldrb r3, [r1, r2]",
    "strb r3, [r0, r2]",
    "b __aeabi_memcpy",
    "2: bx lr",
);

global_asm!(
    ".section .text.move, \"ax\", %progbits",
    ".global memmove, __aeabi_memmove, __aeabi_memmove4, __aeabi_memmove8",
    ".thumb_func",
    "memmove:",
    ".thumb_func",
    "__aeabi_memmove:",
    ".thumb_func",
    "__aeabi_memmove4:",
    ".thumb_func",
    "__aeabi_memmove8:",
    "push {{r4, lr}}",
    "cmp r0, r1",
    "blo 2f",
    // Downwards, as the destination lies behind the source.
    "1: subs r2, #1",
    "blo 4f",
    "ldrb r4, [r1, r2]",
    "strb r4, [r0, r2]",
    "b 1b",
    "2: movs r3, #0",
    "3: cmp r3, r2",
    "beq 4f",
    "ldrb r4, [r1, r3]",
    "strb r4, [r0, r3]",
    "adds r3, #1",
    "b 3b",
    "4: pop {{r4, pc}}",
);

global_asm!(
    ".section .text.fill, \"ax\", %progbits",
    ".global memset, __aeabi_memset, __aeabi_memset4, __aeabi_memset8",
    ".global __aeabi_memclr, __aeabi_memclr4, __aeabi_memclr8",
    // The value before the length: the other way round than in the other ones.
    ".thumb_func",
    "memset:",
    "movs r3, r1",
    "movs r1, r2",
    "movs r2, r3",
    "b __aeabi_memset",
    ".thumb_func",
    "__aeabi_memclr:",
    ".thumb_func",
    "__aeabi_memclr4:",
    ".thumb_func",
    "__aeabi_memclr8:",
    "movs r2, #0",
    ".thumb_func",
    "__aeabi_memset:",
    ".thumb_func",
    "__aeabi_memset4:",
    ".thumb_func",
    "__aeabi_memset8:",
    "subs r1, #1",
    "blo 1f",
    "strb r2, [r0, r1]",
    "b __aeabi_memset",
    "1: bx lr",
);

// Long division, bit by bit; processors that divide do not ask for it.
global_asm!(
    ".section .text.divide, \"ax\", %progbits",
    ".global __aeabi_uidiv, __aeabi_uidivmod",
    ".thumb_func",
    "__aeabi_uidiv:",
    ".thumb_func",
    "__aeabi_uidivmod:",
    // The dividend leaves r0 at the top as the quotient enters at the bottom.
    "movs r2, #0",
    "movs r3, #32",
    "1: adds r0, r0, r0",
    "adcs r2, r2",
    "bcs 2f",
    "cmp r2, r1",
    "blo 3f",
    "2: subs r2, r2, r1",
    "adds r0, #1",
    "3: subs r3, #1",
    "bne 1b",
    "movs r1, r2",
    "bx lr",
);
