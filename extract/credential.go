package extract

import (
	"slices"
	"strings"
)

// Credential returns the credential that a request came with: what the headers
// Authorization and X-Litellm-Api-Key (less their scheme), X-Api-Key, Api-Key,
// X-Goog-Api-Key and Ocp-Apim-Subscription-Key (Azure API Management) hold and, where
// browsers open a WebSocket to OpenAI, the openai-insecure-api-key in
// Sec-WebSocket-Protocol. It is "" if there is none. Credential does not look into the
// query of the URL. The result is a secret; Selectors keep a keyed hash of it only.
//
// It makes a good Config.Tenant of package affinity: nobody without a tenant's credential
// can name its sessions. But when a client's credential changes, such as a token that is
// renewed or a signature over the request, its sessions begin anew: where that happens, have
// Config.Tenant return whom you have authenticated.
//
// If there are several credentials, the result is made of all of them, whatever their
// order: SDKs that insist on a key send a placeholder, the same for everybody, beside the
// one that counts.
func Credential(r *Request) string {
	var room [2]string
	found := room[:0]
	for i := range credentials {
		found = credentials[i].in(r.Header[credentials[i].header], found)
	}
	if len(found) == 0 {
		// In a map that net/http has not filled in, names may have another case.
		for key, values := range r.Header {
			for i := range credentials {
				if c := &credentials[i]; len(key) == len(c.header) && strings.EqualFold(key, c.header) {
					found = c.in(values, found)
				}
			}
		}
	}
	slices.Sort(found)
	return strings.Join(slices.Compact(found), "\n")
}

// credentials has the headers in which APIs take a credential, in canonical form.
var credentials = []credential{
	{"Authorization", withoutScheme, false},
	{"X-Api-Key", strings.TrimSpace, false},
	{"Api-Key", strings.TrimSpace, false},
	{"X-Goog-Api-Key", strings.TrimSpace, false},
	{"Ocp-Apim-Subscription-Key", strings.TrimSpace, false},
	{"X-Litellm-Api-Key", withoutScheme, false}, // by its documentation, with "Bearer"
	{"Sec-Websocket-Protocol", protocolSecret, true},
}

type credential struct {
	header string
	secret func(value string) string // cuts the secret out of a value: "" if it has none
	list   bool                      // the header is a list with commas, each item a value
}

// maxValues is how many values of a header, and items of a list, are looked at. Clients send
// two or three.
const maxValues = 64

// in appends to found the secrets in the values of the header.
func (c *credential) in(values, found []string) []string {
	for _, rest := range values[:min(len(values), maxValues)] {
		for n, more := 0, true; more && n < maxValues; n++ {
			v := rest
			if more = false; c.list {
				v, rest, more = strings.Cut(rest, ",")
			}
			if s := c.secret(v); s != "" {
				found = append(found, s)
			}
		}
	}
	return found
}

// withoutScheme returns the value of an Authorization header without its scheme, if it has
// one.
func withoutScheme(value string) string {
	value = strings.TrimSpace(value)
	scheme, secret, ok := strings.Cut(value, " ")
	switch {
	case ok:
		return strings.TrimSpace(secret)
	case strings.EqualFold(scheme, "Bearer"), strings.EqualFold(scheme, "Basic"):
		return "" // a scheme without a credential
	}
	return value
}

// protocolSecret returns the key in an item of Sec-WebSocket-Protocol, or "" if it has none.
// Browsers put it among the protocols since they can set no other header.
func protocolSecret(value string) string {
	const prefix = "openai-insecure-api-key." // https://platform.openai.com/docs/guides/realtime-websocket
	if secret, ok := strings.CutPrefix(strings.TrimSpace(value), prefix); ok {
		return secret
	}
	return ""
}
