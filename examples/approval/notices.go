package main

import (
	"bytes"
	"io"
)

// notices passes on the lines of package devserver, such as the progress of a
// build, and drops the server's log lines.
type notices struct{ w io.Writer }

func (n notices) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("devserver: ")) {
		return n.w.Write(b)
	}
	return len(b), nil
}
