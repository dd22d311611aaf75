//! Compiles `proto/` into Rust types and a descriptor set, with protox, so that no protoc is needed.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use prost::Message;
use prost_reflect::{DescriptorPool, prost_types::DescriptorProto};

/// Messages whose content must never be printed; `src/redact.rs` has their `Debug`.
const SECRET: [&str; 5] = [
    "mesos.v1.Secret.Value",
    "mesos.v1.Credential",
    "mesos.internal.AuthenticationStartMessage",
    "mesos.internal.AuthenticationStepMessage",
    "docker.spec.Config.Auth",
];

fn main() -> Result<(), Box<dyn Error>> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed={}", proto.display());

    let mut files = Vec::new();
    find(&proto, &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new([&proto])?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;
    let mut set = compiler.file_descriptor_set();

    // The pool that the JSON form walks needs no comments, which are most of the bytes.
    let mut plain = set.clone();
    for file in &mut plain.file {
        file.source_code_info = None;
    }
    let plain = plain.encode_to_vec();
    fs::write(out.join("descriptors.bin"), &plain)?;

    // Frameworks still set the deprecated fields, so we read them; a warning on every use would only be silenced.
    // The descriptors above keep the option.
    for file in &mut set.file {
        for message in &mut file.message_type {
            undeprecate(message);
        }
    }

    let mut config = prost_build::Config::new();
    config.btree_map(["."]).include_file("mesos_proto.rs").skip_debug(SECRET);
    // The name of a libprocess message is that of its type.
    config.enable_type_names();
    for message in DescriptorPool::decode(plain.as_slice())?.all_messages() {
        // Without a leading dot the path fits this message only, not those nested in it.
        let name = message.full_name();
        config.type_attribute(name, "#[derive(::prost_reflect::ReflectMessage)]");
        config.type_attribute(
            name,
            format!(r#"#[prost_reflect(message_name = "{name}", descriptor_pool = "crate::DESCRIPTORS")]"#),
        );
    }
    config.compile_fds(set)?;
    Ok(())
}

fn find(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

fn undeprecate(message: &mut DescriptorProto) {
    for field in &mut message.field {
        if let Some(options) = &mut field.options {
            options.deprecated = None;
        }
    }
    for nested in &mut message.nested_type {
        undeprecate(nested);
    }
}
