package webhook

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/store"
)

// The errors of Keys.Open, and of a Handler for a link.
var (
	// ErrBadLink means that none of the keys sealed the link, or that it was
	// changed or cut.
	ErrBadLink = errors.New("webhook: not a link of ours")
	// ErrExpiredLink means that a link is genuine and has expired.
	ErrExpiredLink = errors.New("webhook: the link has expired")
	// ErrNotAllowed means that a link is genuine and does not allow the action.
	ErrNotAllowed = errors.New("webhook: the link doesn't allow this action")
)

// Allow is a set of actions that a link allows.
type Allow uint8

// The actions. Fail covers reject.
const (
	Look Allow = 1 << iota
	Complete
	Fail
	Cancel
	Heartbeat
	Decide // on a page of package web/inbox; a Handler refuses such a link

	everything = Look | Complete | Fail | Cancel | Heartbeat | Decide
)

const (
	keySize     = 32
	maxKeyName  = 32
	maxFor      = 256
	maxToken    = 1 << 10
	linkFormat  = 1
	linkContext = "latchkey link\x00"
)

// Claims is the content of a sealed link. Without the key, the content can be
// neither read nor changed.
type Claims struct {
	// ID is the callback ID. Required.
	ID string

	// Allow is the set of actions that the link allows. Required.
	Allow Allow

	// Expires is when the link stops working, in whole seconds. Required.
	Expires time.Time

	// For is the addressee, such as a mail address, at most 256 bytes. Defaults
	// to "".
	For string

	// Key is the name of the key that sealed the link. Open sets Key, and Seal
	// ignores it.
	Key string
}

// Keys seals and opens links. To rotate keys, add a new key to Keys in every
// process, and then make it Active. Remove the old key when the last link that
// it sealed has expired. The methods of Keys may be called concurrently. The
// fields must not be changed during a call.
type Keys struct {
	// Keys contains keys of 32 random bytes, by name. A name has 1 to 32
	// characters of A-Z a-z 0-9 - _, and is readable in each link. Required.
	Keys map[string][]byte

	// Active is the name of the key that seals new links. Required.
	Active string

	// Used is called each time that a link opens, with the name of the key that
	// opened it. A key that is in use must not be removed, so count the calls:
	// see docs/observability.md. Used may be called concurrently and must not
	// block. A panic of Used is ignored. Defaults to none.
	Used func(key string)
}

// check reports which field is wrong. The error contains no key.
func (k *Keys) check() error {
	if k == nil || len(k.Keys) == 0 {
		return errors.New("webhook: Keys.Keys is required")
	}
	for _, name := range slices.Sorted(maps.Keys(k.Keys)) {
		if !isKeyName(name) {
			return fmt.Errorf("webhook: the names in Keys.Keys must have 1 to %d characters of A-Z a-z 0-9 - _, got %q", maxKeyName, name)
		}
		if key := k.Keys[name]; len(key) != keySize {
			return fmt.Errorf("webhook: Keys.Keys[%q] must have %d bytes, got %d", name, keySize, len(key))
		} else if !slices.ContainsFunc(key, func(b byte) bool { return b != key[0] }) {
			return fmt.Errorf("webhook: Keys.Keys[%q] must be random, got one byte %d times", name, keySize)
		}
	}
	if k.Keys[k.Active] == nil {
		return fmt.Errorf("webhook: Keys.Active must be a name in Keys.Keys, got %q", k.Active)
	}
	return nil
}

func isKeyName(name string) bool {
	return name != "" && len(name) <= maxKeyName && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// Seal returns the token of a link. The token is the name of the active key, a
// full stop, and the claims, which are encrypted and authenticated with
// AES-GCM. All characters of a token are safe in a URL. Two tokens of the same
// claims differ. Seal at most 2³² tokens with a key.
func (k *Keys) Seal(c Claims) (token string, err error) {
	if err := k.check(); err != nil {
		return "", err
	}
	switch {
	case c.ID == "" || len(c.ID) > 128 || store.CheckID(c.ID) != nil:
		return "", errors.New("webhook: Claims.ID must be a callback ID")
	case c.Allow == 0 || c.Allow&^everything != 0:
		return "", fmt.Errorf("webhook: Claims.Allow must be a set of Look, Complete, Fail, Cancel, Heartbeat and Decide, got %#x", uint8(c.Allow))
	case c.Expires.IsZero() || c.Expires.Unix() <= 0:
		return "", errors.New("webhook: Claims.Expires is required")
	case len(c.For) > maxFor || !utf8.ValidString(c.For):
		return "", fmt.Errorf("webhook: Claims.For must have at most %d bytes in UTF-8, got %d bytes", maxFor, len(c.For))
	}
	plain := []byte{linkFormat, byte(c.Allow)}
	plain = binary.AppendUvarint(plain, uint64(c.Expires.Unix()))
	plain = append(plain, byte(len(c.ID)))
	plain = append(plain, c.ID...)
	plain = append(plain, c.For...)
	gcm, err := newGCM(k.Keys[k.Active])
	if err != nil {
		return "", err
	}
	nonce := make([]byte, gcm.NonceSize(), gcm.NonceSize()+len(plain)+gcm.Overhead())
	rand.Read(nonce) // never fails
	sealed := gcm.Seal(nonce, nonce, plain, []byte(linkContext+k.Active))
	return k.Active + "." + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Open returns the claims of a token. Open returns ErrBadLink for a token that
// none of the keys has sealed. For an expired token, Open returns the claims
// and ErrExpiredLink.
func (k *Keys) Open(token string) (Claims, error) {
	if err := k.check(); err != nil {
		return Claims{}, err
	}
	return k.open(token, time.Now())
}

func (k *Keys) open(token string, now time.Time) (Claims, error) {
	name, text, ok := strings.Cut(token, ".")
	key := k.Keys[name]
	if !ok || key == nil || len(token) > maxToken {
		return Claims{}, ErrBadLink
	}
	// Strict decoding ensures that no second spelling opens as the same link.
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return Claims{}, ErrBadLink
	}
	gcm, err := newGCM(key)
	if err != nil || len(sealed) < gcm.NonceSize() {
		return Claims{}, ErrBadLink
	}
	plain, err := gcm.Open(nil, sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():], []byte(linkContext+name))
	if err != nil {
		return Claims{}, ErrBadLink
	}
	c, ok := readClaims(plain)
	if !ok {
		return Claims{}, ErrBadLink
	}
	c.Key = name
	if !now.Before(c.Expires) {
		return c, ErrExpiredLink
	}
	k.used(name)
	return c, nil
}

// used reports that a link was opened. A panic of Keys.Used must not keep a person
// from answering.
func (k *Keys) used(name string) {
	if k.Used == nil {
		return
	}
	defer func() { _ = recover() }()
	k.Used(name)
}

// readClaims reads claims that Seal has written, in this release or an earlier one.
func readClaims(plain []byte) (c Claims, ok bool) {
	if len(plain) < 2 || plain[0] != linkFormat {
		return c, false
	}
	c.Allow = Allow(plain[1])
	expires, n := binary.Uvarint(plain[2:])
	if n <= 0 || expires > 1<<40 {
		return c, false
	}
	c.Expires = time.Unix(int64(expires), 0)
	rest := plain[2+n:]
	if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
		return c, false
	}
	end := 1 + int(rest[0])
	c.ID, c.For = string(rest[1:end]), string(rest[end:])
	return c, true
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
