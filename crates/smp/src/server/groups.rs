//! Groups, and how several make up a server: a tuple of them.

use super::{Answer, Failure, Reset};
use crate::{Header, Malformed, Op, Rc, Value};

/// A request whose header has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'p> {
    /// Its header; the operation is a read or a write.
    pub header: Header,
    /// Its payload.
    pub payload: &'p [u8],
}

impl<'p> Request<'p> {
    /// Command id and direction, to match on.
    pub fn command(&self) -> (u8, Op) {
        (self.header.id, self.header.op)
    }

    /// Calls `field` for every key of the arguments; what it leaves alone is skipped.
    pub fn fields(
        &self,
        field: impl FnMut(&'p str, Value<'_, 'p>) -> Result<(), Malformed>,
    ) -> Result<(), Failure> {
        crate::fields(self.payload, field).map_err(Failure::from)
    }
}

/// The handler of one group.
pub trait Group {
    /// The group's number.
    const ID: u16;

    /// Carries out a request of this group and writes the keys of the answer's map. Whatever was
    /// written is dropped when an error comes back. Commands that the group lacks are
    /// [`Rc::NOT_SUPPORTED`].
    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure>;
}

impl<G: Group> Group for &mut G {
    const ID: u16 = G::ID;

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        (**self).handle(request, answer)
    }
}

/// The groups of a server. Tuples of up to six [`Group`]s are one; a group that is not in the
/// tuple costs nothing and answers `rc` 8.
pub trait Groups {
    /// Finds the group of `request` and lets it answer.
    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure>;
}

macro_rules! tuple_groups {
    ($($group:ident)+) => {
        impl<$($group: Group),+> Groups for ($($group,)+) {
            #[allow(non_snake_case, reason = "the type parameters name the tuple's fields")]
            fn handle(
                &mut self,
                request: &Request<'_>,
                answer: &mut Answer<'_>,
            ) -> Result<Option<Reset>, Failure> {
                let ($($group,)+) = self;
                $(if request.header.group == <$group as Group>::ID {
                    return Group::handle($group, request, answer);
                })+
                Err(Rc::NOT_SUPPORTED.into())
            }
        }
    };
}

tuple_groups!(A);
tuple_groups!(A B);
tuple_groups!(A B C);
tuple_groups!(A B C D);
tuple_groups!(A B C D E);
tuple_groups!(A B C D E F);
