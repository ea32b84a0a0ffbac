//! SMP by capability.

mod access;
mod client_recorded;
mod client_requests;
mod client_upload;
mod device;
mod dispatch;
mod faults;
mod file_group;
mod fragments;
mod framing;
mod groups;
mod header;
mod lossy_link;
mod os_group;
mod packets;
mod recorded;
mod server_upload;
mod state;
mod zephyr;
