//! Real containers through the Docker API.
