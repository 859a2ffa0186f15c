//! What people deploy: the composed system, images, manifests and workflows, as far as their files tell.
//! `make compose-test` runs the composed system itself.

mod compose_file;
mod composed_configuration;
mod dockerfiles;
mod manifests;
mod native_configuration;
mod native_manifests;
mod pins;
mod releases;
mod workflows;
