package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	tolerance     = 5 * time.Minute // allowed difference of a message's time, in both directions
	maxSignatures = 16
	maxMessageID  = 256
	minSecret     = 16 // bytes
	minStandard   = 24 // bytes, by the specification
)

// Standard returns the verifier of Standard Webhooks, which Svix and many
// others send. A secret begins with "whsec_" (HMAC-SHA256, v1) or is a public
// key that begins with "whpk_" (Ed25519, v1a). Pass several secrets while a
// secret is rotated. Messages that are more than five minutes old, or from the
// future, are refused.
func Standard(secrets ...string) (Verifier, error) {
	var v standard
	for i, s := range secrets {
		if public, ok := strings.CutPrefix(s, "whpk_"); ok {
			key, err := base64.StdEncoding.DecodeString(public)
			if err != nil || len(key) != ed25519.PublicKeySize {
				return nil, fmt.Errorf("webhook: public key %d of Standard must be whpk_ and %d bytes in base64", i, ed25519.PublicKeySize)
			}
			v.public = append(v.public, key)
			continue
		}
		secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_"))
		if err != nil || len(secret) < minStandard {
			return nil, fmt.Errorf("webhook: secret %d of Standard must be whsec_ and at least %d bytes in base64", i, minStandard)
		}
		v.secrets = append(v.secrets, secret)
	}
	if len(secrets) == 0 || len(secrets) > maxSignatures {
		return nil, fmt.Errorf("webhook: Standard takes 1 to %d secrets, got %d", maxSignatures, len(secrets))
	}
	return v, nil
}

type standard struct {
	secrets [][]byte
	public  []ed25519.PublicKey
}

func (v standard) Verify(h http.Header, body []byte, now time.Time) (Message, error) {
	prefix := "Webhook-"
	if h.Get("Webhook-Id") == "" && h.Get("Svix-Id") != "" {
		prefix = "Svix-"
	}
	id, ok1 := header(h, prefix+"Id")
	sent, ok2 := header(h, prefix+"Timestamp")
	list, ok3 := header(h, prefix+"Signature")
	// A full stop separates the signed parts, so an ID with a full stop could be
	// read in two ways.
	if !ok1 || !ok2 || !ok3 || id == "" || len(id) > maxMessageID || strings.Contains(id, ".") || !utf8.ValidString(id) {
		return Message{}, ErrSignature
	}
	at, err := recent(sent, now)
	if err != nil {
		return Message{}, err
	}
	signatures := strings.Fields(list)
	if len(signatures) > maxSignatures {
		return Message{}, ErrSignature
	}
	signed := []byte(id + "." + sent + ".")
	good := false
	for _, s := range signatures {
		version, text, _ := strings.Cut(s, ",")
		signature, err := base64.StdEncoding.Strict().DecodeString(text) // strict, so that each signature has only one text
		if err != nil {
			continue
		}
		switch version {
		case "v1":
			for _, secret := range v.secrets {
				good = hmac.Equal(signature, sum(secret, signed, body)) || good
			}
		case "v1a":
			for _, key := range v.public {
				good = ed25519.Verify(key, append(signed[:len(signed):len(signed)], body...), signature) || good
			}
		}
	}
	if !good {
		return Message{}, ErrSignature
	}
	return Message{ID: id, Sent: at}, nil
}

// Stripe returns the verifier of Stripe's webhooks. The secret is the whole
// text that Stripe shows, with its prefix "whsec_". The message's ID is the
// event's ID.
func Stripe(secrets ...string) (Verifier, error) {
	keys, err := textSecrets("Stripe", secrets)
	if err != nil {
		return nil, err
	}
	return verifier(func(h http.Header, body []byte, now time.Time) (Message, error) {
		value, ok := header(h, "Stripe-Signature")
		if !ok {
			return Message{}, ErrSignature
		}
		sent, times := "", 0
		var signatures []string
		parts := strings.Split(value, ",")
		if len(parts) > 2*maxSignatures {
			return Message{}, ErrSignature
		}
		for _, part := range parts {
			switch name, text, _ := strings.Cut(strings.TrimSpace(part), "="); name {
			case "t":
				sent, times = text, times+1
			case "v1":
				signatures = append(signatures, text)
			}
		}
		if times != 1 || !anyHex(keys, signatures, []byte(sent+"."), body) {
			return Message{}, ErrSignature
		}
		at, err := recent(sent, now)
		return Message{ID: eventID(body), Sent: at}, err
	}), nil
}

// eventID returns the ID in the signed body, or a digest of the body.
func eventID(body []byte) string {
	var event struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(body, &event); err != nil || event.ID == "" || len(event.ID) > maxMessageID {
		return digest(body)
	}
	return event.ID
}

// GitHub returns the verifier of GitHub's webhooks. The message's ID is a
// digest of the body, because the signature covers neither X-GitHub-Delivery
// nor a time.
func GitHub(secrets ...string) (Verifier, error) {
	keys, err := textSecrets("GitHub", secrets)
	if err != nil {
		return nil, err
	}
	return verifier(func(h http.Header, body []byte, _ time.Time) (Message, error) {
		value, ok := header(h, "X-Hub-Signature-256")
		signature, prefixed := strings.CutPrefix(value, "sha256=")
		if !ok || !prefixed || !anyHex(keys, []string{signature}, nil, body) {
			return Message{}, ErrSignature
		}
		return Message{ID: digest(body)}, nil
	}), nil
}

// Slack returns the verifier of Slack's requests: events, commands and
// interactions. The message's ID is a digest of the body.
func Slack(secrets ...string) (Verifier, error) {
	keys, err := textSecrets("Slack", secrets)
	if err != nil {
		return nil, err
	}
	return verifier(func(h http.Header, body []byte, now time.Time) (Message, error) {
		value, ok1 := header(h, "X-Slack-Signature")
		sent, ok2 := header(h, "X-Slack-Request-Timestamp")
		signature, prefixed := strings.CutPrefix(value, "v0=")
		if !ok1 || !ok2 || !prefixed || !anyHex(keys, []string{signature}, []byte("v0:"+sent+":"), body) {
			return Message{}, ErrSignature
		}
		at, err := recent(sent, now)
		return Message{ID: digest(body), Sent: at}, err
	}), nil
}

type verifier func(h http.Header, body []byte, now time.Time) (Message, error)

func (v verifier) Verify(h http.Header, body []byte, now time.Time) (Message, error) {
	m, err := v(h, body, now)
	if err != nil {
		return Message{}, err
	}
	return m, nil
}

// textSecrets returns the keys for secrets that are used without decoding.
func textSecrets(of string, secrets []string) ([][]byte, error) {
	if len(secrets) == 0 || len(secrets) > maxSignatures {
		return nil, fmt.Errorf("webhook: %s takes 1 to %d secrets, got %d", of, maxSignatures, len(secrets))
	}
	var keys [][]byte
	for i, s := range secrets {
		if len(s) < minSecret {
			return nil, fmt.Errorf("webhook: secret %d of %s must have at least %d bytes, got %d", i, of, minSecret, len(s))
		}
		keys = append(keys, []byte(s))
	}
	return keys, nil
}

// anyHex reports whether one of the hexadecimal signatures belongs to one of
// the keys. anyHex compares in constant time.
func anyHex(keys [][]byte, signatures []string, parts ...[]byte) bool {
	if len(signatures) > maxSignatures {
		return false
	}
	good := false
	for _, text := range signatures {
		signature, err := hex.DecodeString(text)
		if err != nil {
			continue
		}
		for _, key := range keys {
			good = hmac.Equal(signature, sum(key, parts...)) || good
		}
	}
	return good
}

func sum(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

var errTime = fmt.Errorf("%w: its time is more than five minutes away, or no time", ErrSignature)

// recent reads a time in Unix seconds.
func recent(text string, now time.Time) (time.Time, error) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(seconds, 10) != text || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, errTime
	}
	at := time.Unix(seconds, 0)
	if d := now.Sub(at); d > tolerance || d < -tolerance {
		return time.Time{}, errTime
	}
	return at, nil
}
