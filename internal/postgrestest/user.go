package postgrestest

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// account is a user of this machine.
type account struct{ uid, gid int }

// unprivileged returns the user for the server's programs, or nil for the user
// that runs the tests. PostgreSQL refuses to run as root. If root runs the
// tests, unprivileged returns the user that Debian's package creates. If that
// user is missing, unprivileged returns the system's least privileged user.
func unprivileged() (*account, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("root may not run PostgreSQL, and there is no other user: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	return &account{uid, gid}, nil
}
