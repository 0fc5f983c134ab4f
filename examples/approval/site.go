package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/latchkey-go/latchkey/examples/internal/httpserver"
)

// listen opens the site's address. With port 0, listen uses the port of the
// last run if it is free, so that links still lead to the site after a restart.
func listen(ctx context.Context, addr, data string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("-addr: %w", err)
	}
	var config net.ListenConfig
	if port != "0" {
		return config.Listen(ctx, "tcp", addr)
	}
	memo := filepath.Join(data, "port")
	if last, err := os.ReadFile(memo); err == nil {
		if l, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, string(bytes.TrimSpace(last)))); err == nil {
			return l, nil
		}
	}
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err == nil {
		err = os.WriteFile(memo, []byte(port+"\n"), 0o600)
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// startSite answers HTTP requests until stop is called, which lets running
// requests finish. If the server fails, startSite calls fail.
func startSite(l net.Listener, handler http.Handler, logger *slog.Logger, fail func(error)) (stop func() error) {
	site := httpserver.New(handler)
	site.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := site.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("site: %w", err))
		}
	}()
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err := site.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = site.Close()
		}
		<-served
		return err
	}
}
