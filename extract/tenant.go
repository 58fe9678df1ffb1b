package extract

import (
	"slices"
	"strings"
)

// Credential returns the credential that a request came with: what the headers
// Authorization (less its scheme), X-Api-Key, Api-Key and X-Goog-Api-Key hold and,
// where browsers open a WebSocket to OpenAI, the openai-insecure-api-key in
// Sec-WebSocket-Protocol. It is "" if there is none. It is a good Config.Tenant of package
// affinity: without a tenant's credential nobody can name its sessions. One in the query
// of the URL is for the caller to look for.
//
// If there are several, the result is made of all, whatever their order: SDKs
// that insist on a key send a placeholder beside the one that counts, and the
// same for everybody. Where what is sent changes, as a token that is renewed or a
// signature over the request, so does the result, and with it the session: then
// let Config.Tenant say whom you have authenticated.
//
// The result is a secret. Selectors keep a keyed hash of it only.
func Credential(r *Request) string {
	var room [2]string
	found := room[:0]
	for i := range credentials {
		found = credentials[i].in(r.Header[credentials[i].header], found)
	}
	if len(found) == 0 {
		// In a map that net/http has not filled in, names may be spelled otherwise.
		for key, values := range r.Header {
			for i := range credentials {
				if c := &credentials[i]; len(key) == len(c.header) && strings.EqualFold(key, c.header) {
					found = c.in(values, found)
				}
			}
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	slices.Sort(found)
	return strings.Join(slices.Compact(found), "\n")
}

// credentials are where APIs take one.
var credentials = []credential{
	{"Authorization", withoutScheme, false},
	{"X-Api-Key", strings.TrimSpace, false},
	{"Api-Key", strings.TrimSpace, false},
	{"X-Goog-Api-Key", strings.TrimSpace, false},
	{"Sec-Websocket-Protocol", protocolSecret, true},
}

type credential struct {
	header string
	secret func(value string) string // "" if the value has none
	list   bool                      // of values, with commas between
}

// in appends the secrets in the values of the header to found.
func (c *credential) in(values, found []string) []string {
	for _, v := range values {
		rest, more := v, true
		for more {
			if v, more = rest, false; c.list {
				v, rest, more = strings.Cut(rest, ",")
			}
			if s := c.secret(v); s != "" {
				found = append(found, s)
			}
		}
	}
	return found
}

// withoutScheme returns what a value has behind the scheme, if it has one.
func withoutScheme(value string) string {
	value = strings.TrimSpace(value)
	scheme, secret, ok := strings.Cut(value, " ")
	switch {
	case ok:
		return strings.TrimSpace(secret)
	case strings.EqualFold(scheme, "Bearer"), strings.EqualFold(scheme, "Basic"):
		return "" // and nothing behind it
	}
	return value
}

// protocolSecret returns the key that is in place of a protocol which a WebSocket may
// speak, since a browser can put one nowhere else.
func protocolSecret(value string) string {
	const prefix = "openai-insecure-api-key." // https://platform.openai.com/docs/guides/realtime-websocket
	if secret, ok := strings.CutPrefix(strings.TrimSpace(value), prefix); ok {
		return secret
	}
	return ""
}
