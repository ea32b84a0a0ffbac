//! Who may publish and read what: an access list of mosquitto's.

/// Who may do what among devices that a publisher serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// What topics begin with, such as `OTAUpdate`.
    pub prefix: String,
    /// The name in the publisher's certificate.
    pub publisher: String,
}

impl Access {
    /// The text of mosquitto's `acl_file`. Whoever else has a certificate is a device: it asks on
    /// `P/B/publish_notify`, and reads below `P/B/NAME/`, where NAME is the one in its certificate,
    /// besides what the direct flow sends to all. So no device reads another's updates, nor sends
    /// any.
    pub fn text(&self) -> String {
        let Self { prefix, publisher } = self;
        format!(
            "user {publisher}\n\
             topic read {prefix}/+/publish_notify\n\
             topic write {prefix}/#\n\
             \n\
             pattern write {prefix}/+/publish_notify\n\
             pattern read {prefix}/+/%u/#\n\
             pattern read {prefix}/+/OTAImage\n\
             pattern write cy_ota_device/will\n"
        )
    }
}
