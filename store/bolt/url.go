package bolt

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func init() { store.Register(backend, openURL) }

func openURL(ctx context.Context, u *url.URL) (store.Store, error) {
	path, o, err := parseURL(u)
	if err != nil {
		return nil, store.Wrap("open", backend, "", err)
	}
	s, err := Open(ctx, path, o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func parseURL(u *url.URL) (path string, o Options, err error) {
	switch {
	case u.Host != "" || u.User != nil:
		return "", o, fmt.Errorf("%w: the URL must have no host: use bolt:///path for an absolute path, or bolt:path for a relative one", store.ErrInvalid)
	case u.Fragment != "":
		return "", o, fmt.Errorf("%w: the URL must have no fragment: escape # in a path as %%23", store.ErrInvalid)
	case u.Opaque != "":
		if path, err = url.PathUnescape(u.Opaque); err != nil {
			return "", o, fmt.Errorf("%w: the path of the URL cannot be parsed", store.ErrInvalid)
		}
	default:
		path = u.Path
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", o, fmt.Errorf("%w: the parameters of the URL cannot be parsed", store.ErrInvalid)
	}
	for name, values := range query {
		if len(values) != 1 {
			return "", o, fmt.Errorf("%w: the parameter %q must be given once, got it %d times", store.ErrInvalid, name, len(values))
		}
		switch name {
		case "lock_timeout":
			o.LockTimeout, err = time.ParseDuration(values[0])
			if err != nil || o.LockTimeout <= 0 {
				return "", o, fmt.Errorf("%w: lock_timeout must be a duration above zero, such as 5s", store.ErrInvalid)
			}
		case "mode":
			mode, err := strconv.ParseUint(values[0], 8, 32)
			if err != nil || mode == 0 {
				return "", o, fmt.Errorf("%w: mode must be the permissions of a file in octal, such as 0640", store.ErrInvalid)
			}
			o.Mode = os.FileMode(mode)
		default:
			return "", o, fmt.Errorf("%w: the parameters are lock_timeout and mode, got %q", store.ErrInvalid, name)
		}
	}
	return path, o, nil
}
