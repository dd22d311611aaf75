//! Compares the compiled `.proto` files with the table of stock 1.11.0's descriptors, in both directions.

use std::collections::BTreeSet;

use mesos_proto::DESCRIPTORS;
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

const TABLE: &str = include_str!("data/messages-1.11.tsv");

/// What the v0 messages have beyond the v1 ones, which the table lists: our one set of types carries both.
const V0_ONLY: [&str; 2] = [
    "mesos.v1\tenum\tmesos.v1.MasterInfo.Capability.Type\t3\tQUOTA_V2\t\t\t",
    "mesos.v1\tmessage\tmesos.v1.AgentInfo\t7\tcheckpoint\toptional\tbool\t",
];

#[test]
fn every_message_field_and_value_is_as_in_stock() {
    let stock: BTreeSet<String> = TABLE.lines().skip(1).map(stock_row).collect();
    let mut ours = BTreeSet::new();
    for message in DESCRIPTORS.all_messages() {
        ours.extend(message_rows(&message));
    }
    for kind in DESCRIPTORS.all_enums() {
        ours.extend(enum_rows(&kind));
    }
    let missing: Vec<_> = stock.difference(&ours).collect();
    let added: Vec<_> = ours.difference(&stock).map(String::as_str).collect();
    assert!(missing.is_empty(), "in stock's table, not in ours:\n{missing:#?}");
    assert_eq!(added, V0_ONLY, "in ours, not in stock's table");
    // Guards against a table that was cut short: 1745 rows of stock, one for each field and value.
    assert_eq!(stock.len(), 1745);
}

#[test]
fn everything_is_proto2() {
    assert!(TABLE.lines().skip(1).all(|row| row.split('\t').nth(1) == Some("proto2")));
    for file in DESCRIPTORS.files() {
        assert_eq!(file.syntax(), prost_reflect::Syntax::Proto2, "{}", file.name());
    }
}

/// A row of the table, without its syntax column and with v1 names for the v0 messages that others refer to.
fn stock_row(row: &str) -> String {
    let columns: Vec<&str> = row.split('\t').collect();
    let [package, _, kind, name, number, field, label, type_name, notes] = columns[..] else {
        panic!("not nine columns: {row}")
    };
    let type_name = match type_name.strip_prefix("mesos.") {
        Some(rest) if rest.starts_with(char::is_uppercase) => {
            let rest = rest.replacen("SlaveID", "AgentID", 1).replacen("SlaveInfo", "AgentInfo", 1);
            format!("mesos.v1.{rest}")
        }
        _ => type_name.to_owned(),
    };
    // An empty message is a row without a field.
    [package, kind, name, number, field, label, &type_name, notes.trim()].join("\t")
}

fn message_rows(message: &MessageDescriptor) -> Vec<String> {
    let of = format!("{}\tmessage\t{}", message.package_name(), message.full_name());
    if message.fields().len() == 0 {
        return vec![format!("{of}\t\t\t\t\t")];
    }
    message.fields().map(|f| format!("{of}\t{}", field_row(&f))).collect()
}

fn field_row(field: &FieldDescriptor) -> String {
    let label = match field.cardinality() {
        Cardinality::Optional => "optional",
        Cardinality::Required => "required",
        Cardinality::Repeated => "repeated",
    };
    let type_name = match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(kind) => kind.full_name().to_owned(),
        Kind::Bool => "bool".to_owned(),
        Kind::Bytes => "bytes".to_owned(),
        Kind::Double => "double".to_owned(),
        Kind::Int32 => "int32".to_owned(),
        Kind::Int64 => "int64".to_owned(),
        Kind::String => "string".to_owned(),
        Kind::Uint32 => "uint32".to_owned(),
        Kind::Uint64 => "uint64".to_owned(),
        other => format!("{other:?}, which stock never uses"),
    };
    let proto = field.field_descriptor_proto();
    let mut notes = Vec::new();
    if let Some(default) = &proto.default_value {
        notes.push(format!("default={default}"));
    }
    if let Some(oneof) = field.containing_oneof() {
        notes.push(format!("oneof={}", oneof.name()));
    }
    let options = proto.options.clone().unwrap_or_default();
    if options.packed.is_some() {
        notes.push("packed".to_owned());
    }
    if options.deprecated() {
        notes.push("deprecated".to_owned());
    }
    format!("{}\t{}\t{label}\t{type_name}\t{}", field.number(), field.name(), notes.join(" "))
}

fn enum_rows(kind: &EnumDescriptor) -> Vec<String> {
    let of = format!("{}\tenum\t{}", kind.package_name(), kind.full_name());
    kind.values().map(|v| format!("{of}\t{}\t{}\t\t\t", v.number(), v.name())).collect()
}
