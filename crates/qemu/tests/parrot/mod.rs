//! A program of eighteen instructions.

/// For the nRF51 of a microbit: prints `>`, then says again what it hears.
const PARROT: [u16; 28] = [
    0x4000, 0x2000, // 00 stack
    0x0009, 0x0000, // 04 entry: 08, Thumb
    0x480a, // 08 ldr r0, =UART
    0x2205, // 0a movs r2, #5
    0x0212, // 0c lsls r2, #8
    0x1812, // 0e adds r2, r0            UART + 0x500
    0x2304, // 10 movs r3, #4
    0x6013, // 12 str r3, [r2, ENABLE]
    0x2101, // 14 movs r1, #1
    0x6001, // 16 str r1, [r0, STARTRX]
    0x6081, // 18 str r1, [r0, STARTTX]
    0x233e, // 1a movs r3, #'>'
    0x61d3, // 1c str r3, [r2, TXD]
    0x2401, // 1e movs r4, #1
    0x0224, // 20 lsls r4, #8
    0x1824, // 22 adds r4, r0            UART + 0x100
    0x68a5, // 24 ldr r5, [r4, RXDRDY]
    0x2d00, // 26 cmp r5, #0
    0xd0fc, // 28 beq 24
    0x2500, // 2a movs r5, #0
    0x60a5, // 2c str r5, [r4, RXDRDY]
    0x6993, // 2e ldr r3, [r2, RXD]
    0x61d3, // 30 str r3, [r2, TXD]
    0xe7f7, // 32 b 24
    0x2000, 0x4000, // 34 UART
];

/// The program.
pub fn parrot() -> Vec<u8> {
    PARROT.iter().flat_map(|half| half.to_le_bytes()).collect()
}
