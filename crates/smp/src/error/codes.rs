//! What every enumeration of group codes has.

/// Declares the error codes of a group: name, code on the wire, what version 1 is told, what it
/// means.
macro_rules! group_codes {
    (
        $(#[$outer:meta])* $name:ident of $group:path;
        $($(#[$doc:meta])* $variant:ident = $rc:literal => $v1:ident, $text:literal;)+
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant = $rc,)+
        }

        impl $name {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code on the wire.
            pub const fn rc(self) -> u32 {
                self as u32
            }

            /// The code that `rc` stands for.
            pub const fn from_rc(rc: u32) -> Option<Self> {
                match rc {
                    $($rc => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// What a version 1 client is told.
            pub const fn v1(self) -> $crate::Rc {
                match self {
                    $(Self::$variant => $crate::Rc::$v1,)+
                }
            }

            /// What the code means: the cause and, where there is one, the way out.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.text())
            }
        }

        impl core::error::Error for $name {}

        impl From<$name> for $crate::GroupError {
            fn from(error: $name) -> Self {
                Self { group: $group, rc: error.rc(), v1: error.v1() }
            }
        }

        impl From<$name> for $crate::server::Failure {
            fn from(error: $name) -> Self {
                $crate::GroupError::from(error).into()
            }
        }
    };
}
