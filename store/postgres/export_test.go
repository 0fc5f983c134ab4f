package postgres

// Channel returns the channel on which the store sends NOTIFY.
func (s *Store) Channel() string { return s.sql.channel }
