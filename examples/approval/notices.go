package main

import (
	"bytes"
	"io"
)

// notices logs only what the user of a terminal should know, such as that the build
// of the server takes minutes. It drops the server's own log.
type notices struct{ w io.Writer }

func (n notices) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("devserver: ")) {
		return n.w.Write(b)
	}
	return len(b), nil
}
