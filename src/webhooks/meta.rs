//! What each event of this platform means for us.
