//! Finds the fields of the kernel's structures in the running kernel's BTF.

use std::path::Path;

use btf_rs::{Btf, Member, Struct, Type};
use headless_obs_ebpf::offsets::SockOffsets;

use super::ProbeError;

/// The running kernel's own BTF.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Offsets of every field that the programs read. The fields for a socket's cgroup may be missing in older layouts;
/// they are 0 then.
pub(super) fn sock_offsets() -> Result<SockOffsets, ProbeError> {
    if !Path::new(VMLINUX).exists() {
        return Err(ProbeError::NoBtf);
    }
    let btf = Btf::from_file(VMLINUX).map_err(|error| ProbeError::Btf(error.to_string()))?;
    let at = |structure: &str, field: &str| {
        offset(&btf, structure, field)
            .ok_or_else(|| ProbeError::Btf(format!("no field {field} in struct {structure}")))
    };
    Ok(SockOffsets {
        daddr: at("sock", "skc_daddr")?,
        saddr: at("sock", "skc_rcv_saddr")?,
        v6_daddr: at("sock", "skc_v6_daddr")?,
        v6_saddr: at("sock", "skc_v6_rcv_saddr")?,
        dport: at("sock", "skc_dport")?,
        sport: at("sock", "skc_num")?,
        family: at("sock", "skc_family")?,
        state: at("sock", "skc_state")?,
        cookie: at("sock", "skc_cookie")?,
        protocol: at("sock", "sk_protocol")?,
        err: at("sock", "sk_err")?,
        flags: at("sock", "skc_flags")?,
        shutdown: at("sock", "sk_shutdown")?,
        write_seq: at("tcp_sock", "write_seq")?,
        snd_nxt: at("tcp_sock", "snd_nxt")?,
        bytes_sent: at("tcp_sock", "bytes_sent")?,
        bytes_retrans: at("tcp_sock", "bytes_retrans")?,
        bytes_received: at("tcp_sock", "bytes_received")?,
        segments_sent: at("tcp_sock", "data_segs_out")?,
        segments_received: at("tcp_sock", "data_segs_in")?,
        retransmitted: at("tcp_sock", "total_retrans")?,
        snd_una: at("tcp_sock", "snd_una")?,
        srtt: at("tcp_sock", "srtt_us")?,
        rtt_min: at("tcp_sock", "rtt_min")?,
        socket_sk: at("socket", "sk")?,
        cgroup: offset(&btf, "sock", "sk_cgrp_data").unwrap_or(0),
        cgroup_kn: offset(&btf, "cgroup", "kn").unwrap_or(0),
        kn_id: offset(&btf, "kernfs_node", "id").unwrap_or(0),
        task_comm: if has_helper(&btf, "BPF_FUNC_get_current_task_btf") {
            at("task_struct", "comm")?
        } else {
            0
        },
        task_tgid: at("task_struct", "tgid")?,
    })
}

/// Whether programs can call this function.
fn has_helper(btf: &Btf, name: &str) -> bool {
    btf.resolve_types_by_name("bpf_func_id").into_iter().flatten().any(|r#type| match r#type {
        Type::Enum(helpers) => {
            helpers.members.iter().any(|helper| btf.resolve_name(helper).is_ok_and(|known| known == name))
        }
        _ => false,
    })
}

/// Byte offset of a field: in the structure itself, otherwise in the first nested structure or union that has it.
fn offset(btf: &Btf, structure: &str, field: &str) -> Option<u32> {
    btf.resolve_types_by_name(structure).ok()?.into_iter().find_map(|r#type| match r#type {
        Type::Struct(structure) => within(btf, &structure, field, 0),
        _ => None,
    })
}

/// The most levels of nested structures on the way to a field.
const MAX_DEPTH: u32 = 8;

fn within(btf: &Btf, structure: &Struct, field: &str, depth: u32) -> Option<u32> {
    if depth > MAX_DEPTH {
        return None;
    }
    let named = |member: &&Member| btf.resolve_name(*member).is_ok_and(|name| name == field);
    if let Some(member) = structure.members.iter().find(named) {
        let is_bitfield = member.bitfield_size().is_some_and(|bits| bits > 0);
        return (!is_bitfield).then_some(member.bit_offset() / 8);
    }
    structure.members.iter().find_map(|member| match btf.resolve_chained_type(member) {
        Ok(Type::Struct(inner) | Type::Union(inner)) => {
            within(btf, &inner, field, depth + 1).map(|offset| member.bit_offset() / 8 + offset)
        }
        _ => None,
    })
}
