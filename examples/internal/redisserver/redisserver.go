// Package redisserver runs a Redis for the examples that need one.
package redisserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
)

// Find returns an error that says how to install Redis if it is missing.
func Find() error {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return errors.New("redis-server is not installed: apt-get install redis-server (Debian, Ubuntu), dnf install redis (Fedora), brew install redis (macOS)")
	}
	return nil
}

// Run runs Redis until the context ends. When Redis can be used, Run calls
// ready with the URL of the store.
func Run(ctx context.Context, directory string, ready func(url string)) error {
	const tries = 5 // another process may have taken the port
	var err error
	for range tries {
		var taken bool
		if taken, err = redisOn(ctx, directory, ready); !taken || ctx.Err() != nil {
			break
		}
	}
	return err
}

// redisOn runs Redis on a free port. redisOn returns when Redis has ended, and
// reports whether Redis ended before it could be used.
func redisOn(ctx context.Context, directory string, ready func(url string)) (early bool, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return false, err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return false, err
	}
	_, port, _ := net.SplitHostPort(address)
	// With the most durable setting, every acknowledged write is on disk.
	cmd := exec.CommandContext(ctx, "redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", directory,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = apart()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	early = true
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			early = false
			ready("redis://" + address + "/0")
			break
		}
	}
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); ctx.Err() == nil {
		return early, fmt.Errorf("redis-server has ended: %w", errors.Join(errors.New("unexpectedly"), err))
	}
	return false, nil
}
