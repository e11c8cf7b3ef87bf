"""The local server: an emulator of AWS, the API in front of it, users and tokens."""
