//! SMP by capability.

mod client_requests;
mod client_upload;
mod device;
mod dispatch;
mod framing;
mod header;
mod lossy_link;
mod os_group;
mod recorded;
mod server_upload;
mod state;
