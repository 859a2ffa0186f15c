//! The service over real HTTP, with a real database file. One module a resource, named as its URL.

mod admin_audit;
mod admin_explain;
mod admin_keys;
mod admin_keys_import;
mod admin_tenants;
mod admin_users;
mod backup;
mod backup_files;
mod command_connection;
mod command_import;
mod command_output;
mod connections;
mod contract;
mod environment;
mod every_route;
mod explain_command;
mod given_twice;
mod locked_database;
mod migrations;
mod program;
mod secrets;
mod support;
mod v1_changes;
mod v1_resolve;
mod v1_usage;
mod wrong_tokens;
