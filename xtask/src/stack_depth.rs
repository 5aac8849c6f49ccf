//! The stack of the kernel programs, held against the limit of the oldest kernel.
//!
//! In: the object's bytes. Out: an error that names each program with too much. Every kernel allows 512 bytes for a program
//! and the functions that it calls. Older ones round each of them up to 32 bytes, and newer ones to 16: a program that
//! loads on this machine may be refused on Linux 5.10.

use std::fs;

use anyhow::{Context as _, Result, bail};
use aya_obj::Object;
use aya_obj::generated::bpf_insn;

use crate::workspace;

/// `MAX_BPF_STACK`
const LIMIT: u32 = 512;
/// Bytes to which the oldest kernels round a function's stack up.
const STEP: u32 = 32;
/// The register with the end of the stack.
const FRAME: u8 = 10;

/// `rX = rY` of 64 bits.
const MOVE: u8 = 0xbf;
/// `rX += number` of 64 bits.
const ADD: u8 = 0x07;
/// `call`; with [`OWN_FUNCTION`] as source register, of a function of the object.
const CALL: u8 = 0x85;
const OWN_FUNCTION: u8 = 1;
/// The classes of instructions that read and write memory: `BPF_LDX`, `BPF_ST` and `BPF_STX`.
const READ: u8 = 1;
const WRITES: [u8; 2] = [2, 3];

/// The check of the built object.
pub(crate) fn check() -> Result<()> {
    let path = workspace::ebpf_object();
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let too_deep: Vec<String> = depths(&bytes)?
        .into_iter()
        .filter(|(_, depth)| *depth > LIMIT)
        .map(|(name, depth)| format!("{name} needs {depth} bytes"))
        .collect();
    if !too_deep.is_empty() {
        bail!("Linux 5.10 gives a program {LIMIT} bytes of stack: {}", too_deep.join(", "));
    }
    Ok(())
}

/// Each program, and the most stack that it and what it calls can need. Functions that programs call are taken to call no
/// others: those of this object are the compiler's own.
fn depths(object: &[u8]) -> Result<Vec<(String, u32)>> {
    let object = Object::parse(object)?;
    let is_program = |function: &aya_obj::Function| {
        object
            .programs
            .values()
            .any(|program| program.function_key() == (function.section_index.0, function.address))
    };
    let called = object.functions.values().filter(|function| !is_program(function));
    let called = called.map(|function| frame(&function.instructions)).max().unwrap_or_default();
    let programs = object.functions.values().filter(|function| is_program(function));
    let depths = programs.map(|function| {
        let calls = function.instructions.iter().any(|one| one.code == CALL && one.src_reg() == OWN_FUNCTION);
        (function.name.clone(), frame(&function.instructions) + if calls { called } else { 0 })
    });
    Ok(depths.collect())
}

/// The stack of one function, rounded up.
fn frame(instructions: &[bpf_insn]) -> u32 {
    // Registers that hold the end of the stack, until the next addition makes an address in it.
    let mut at_end = [false; FRAME as usize + 1];
    at_end[usize::from(FRAME)] = true;
    let mut lowest = 0;
    for one in instructions {
        let (to, from) = (one.dst_reg(), one.src_reg());
        let class = one.code & 7;
        if class == READ && from == FRAME || WRITES.contains(&class) && to == FRAME {
            lowest = lowest.min(i32::from(one.off));
        }
        let Some(is_at_end) = at_end.get_mut(usize::from(to)).filter(|_| to != FRAME) else { continue };
        if one.code == ADD && *is_at_end {
            lowest = lowest.min(one.imm);
        }
        *is_at_end = one.code == MOVE && from == FRAME;
    }
    lowest.unsigned_abs().max(1).next_multiple_of(STEP)
}
