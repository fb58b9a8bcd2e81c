//! What a provider's error answer means, whatever its shape.
