//! simsync keeps a telecom device-management platform in step with a CRM. The map of the code comes with the front
//! door; until then the rooms below are the order in which they are built.

pub mod api;
pub mod choice;
pub mod config;
pub mod deliver;
pub mod delivery;
pub mod digest;
pub mod engine;
pub mod event;
pub mod exit;
pub mod fields;
pub mod input;
pub mod journal;
pub mod ledger;
pub mod near;
pub mod plan;
pub mod report;
pub mod row;
pub mod sandbox;
pub mod settings;
pub mod stats;
pub mod survey;
pub mod update;
