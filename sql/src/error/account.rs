//! Accounts, privileges and the protocol.

use super::{Error, errors};

errors! {
    /// A system schema that cannot be changed.
    access_denied_database(user, database) = 1044, "42000", "Access denied for user {user} to database '{database}'";
    /// A hash that the plugin cannot have made.
    wrong_password_hash() = 1827, "HY000", "The password hash doesn't have the expected format.";
    /// A login plugin that does not exist.
    unknown_plugin(name) = 1524, "HY000", "Plugin '{name}' is not loaded";
    /// A grant that does not exist.
    no_such_grant(user, host) = 1141, "42000", "There is no such grant defined for user '{user}' on host '{host}'";
    /// A user name that is too long.
    name_too_long(name, max) = 1470, "HY000", "String '{name}' is too long for user name (should be no longer than {max})";
    /// SET PASSWORD of an account that does not exist.
    no_matching_user() = 1133, "42000", "Can't find any matching row in the user table";
    /// A user that exists already or not at all.
    cannot_user(operation, user) = 1396, "HY000", "Operation {operation} failed for {user}";
    /// A login that failed; `used` is YES or NO.
    access_denied(user, host, used) = 1045, "28000", "Access denied for user '{user}'@'{host}' (using password: {used})";
    /// A command of the protocol that this server does not know.
    unknown_command() = 1047, "08S01", "Unknown command";
    /// No room for another connection.
    too_many_connections() = 1040, "08004", "Too many connections";
    /// A login packet that cannot be read.
    bad_handshake() = 1043, "08S01", "Bad handshake";
    /// A client that knows none of the methods its account allows.
    auth_mode_not_supported() = 1251, "08004", "Client does not support authentication protocol requested by server; consider upgrading MySQL client";
    /// A message above `max_allowed_packet`.
    packet_too_large() = 1153, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes";
    /// A packet with a wrong sequence number.
    packets_out_of_order() = 1156, "08S01", "Got packets out of order";
    /// A packet whose content cannot be read.
    malformed_packet() = 1835, "HY000", "Malformed communication packet.";
}
