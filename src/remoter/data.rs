//! What the caller keeps with a connection.

use core::any::Any;

use super::Remoter;

/// # What you keep with it
impl Remoter {
    /// Keeps `data` with the connection until it is gone; replaces what was kept before.
    pub fn set_data<T: Any + Send>(&mut self, data: T) {
        self.data = Some(Box::new(data));
    }

    /// What [`set_data`](Remoter::set_data) kept, if it was a `T`.
    #[must_use]
    pub fn data<T: Any>(&self) -> Option<&T> {
        self.data.as_ref()?.downcast_ref()
    }

    /// What [`set_data`](Remoter::set_data) kept, if it was a `T`.
    #[must_use]
    pub fn data_mut<T: Any>(&mut self) -> Option<&mut T> {
        self.data.as_mut()?.downcast_mut()
    }

    /// Takes what [`set_data`](Remoter::set_data) kept, if it was a `T`; otherwise it stays.
    pub fn take_data<T: Any>(&mut self) -> Option<T> {
        match self.data.take()?.downcast() {
            Ok(data) => Some(*data),
            Err(other) => {
                self.data = Some(other);
                None
            }
        }
    }
}
