//! Choices: enums whose variants have a name each, in settings, on the command line, on the wire and in reports.
//!
//! Not here: the choices themselves, each of which belongs to the room that acts on it.

/// Declares a choice: the enum, its variants and names in the order they are shown, and the way from one to the other.
/// It derives what every choice has; anything else (`Default`, `Ord`, `Hash`) is derived where it is declared.
macro_rules! choice {
    (
        $(#[$meta:meta])*
        $vis:vis enum $choice:ident { $($(#[$variant_meta:meta])* $variant:ident = $name:literal,)+ }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $choice { $($(#[$variant_meta])* $variant,)+ }

        impl $choice {
            /// The names, in the order they are shown.
            $vis const NAMES: &'static [&'static str] = &[$($name),+];

            /// All of them, in the order they are shown.
            $vis const ALL: [$choice; $choice::NAMES.len()] = [$($choice::$variant),+];

            /// The name.
            $vis const fn name(self) -> &'static str {
                match self { $($choice::$variant => $name,)+ }
            }

            /// The one of a name, spelled exactly so.
            $vis fn from_name(name: &str) -> Option<$choice> {
                match name { $($name => Some($choice::$variant),)+ _ => None }
            }
        }
    };
}

pub(crate) use choice;

#[cfg(test)]
mod tests {
    choice! {
        /// What becomes of a choice in a test.
        #[derive(Default)]
        enum Fate {
            /// It is shown first.
            First = "first-of-all",
            /// It is the default, wherever it is shown.
            #[default]
            Last = "last",
        }
    }

    #[test]
    fn names_read_back_and_nothing_else_does() {
        assert_eq!(Fate::NAMES, ["first-of-all", "last"]);
        assert_eq!(Fate::ALL.map(Fate::name), Fate::NAMES);
        assert_eq!(Fate::ALL.map(|fate| Fate::from_name(fate.name())), Fate::ALL.map(Some));
        assert_eq!(Fate::from_name("Last"), None);
        assert_eq!(Fate::from_name(""), None);
        assert_eq!(Fate::default(), Fate::Last);
    }
}
