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
///
/// Groups of an application have numbers from [`FIRST_USER`](crate::group::FIRST_USER) up and may
/// answer with something else than a map ([`Answer::replace`]).
pub trait Group {
    /// The group's number.
    const ID: u16;
    /// What the group is called when groups are enumerated.
    const NAME: Option<&'static str> = None;

    /// How many command ids the group has, holes among them counted, for those who enumerate
    /// groups. 0 if it does not tell.
    fn commands(&self) -> u32 {
        0
    }

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
    const NAME: Option<&'static str> = G::NAME;

    fn commands(&self) -> u32 {
        (**self).commands()
    }

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        (**self).handle(request, answer)
    }
}

/// A group, for those who enumerate groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its number.
    pub id: u16,
    /// Its name.
    pub name: Option<&'static str>,
    /// How many command ids it has; 0 if it does not tell.
    pub commands: u32,
}

/// The groups of a server. Tuples of up to sixteen [`Group`]s are one; a group that is not in the
/// tuple costs nothing and answers `rc` 8.
pub trait Groups {
    /// Calls `each` for every group, in order.
    fn each(&self, each: &mut dyn FnMut(GroupInfo)) {
        let _ = each;
    }

    /// Finds the group of `request` and lets it answer.
    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure>;
}

impl<G: Groups> Groups for &mut G {
    fn each(&self, each: &mut dyn FnMut(GroupInfo)) {
        (**self).each(each);
    }

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        (**self).handle(request, answer)
    }
}

macro_rules! tuple_groups {
    ($($group:ident)+) => {
        impl<$($group: Group),+> Groups for ($($group,)+) {
            #[allow(non_snake_case, reason = "the type parameters name the tuple's fields")]
            fn each(&self, each: &mut dyn FnMut(GroupInfo)) {
                let ($($group,)+) = self;
                $(each(GroupInfo {
                    id: <$group as Group>::ID,
                    name: <$group as Group>::NAME,
                    commands: Group::commands($group),
                });)+
            }

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
tuple_groups!(A B C D E F G);
tuple_groups!(A B C D E F G H);
tuple_groups!(A B C D E F G H I);
tuple_groups!(A B C D E F G H I J);
tuple_groups!(A B C D E F G H I J K);
tuple_groups!(A B C D E F G H I J K L);
tuple_groups!(A B C D E F G H I J K L M);
tuple_groups!(A B C D E F G H I J K L M N);
tuple_groups!(A B C D E F G H I J K L M N O);
tuple_groups!(A B C D E F G H I J K L M N O P);
