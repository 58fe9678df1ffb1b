package extract

import "strings"

// Credential returns the credential that a request came with: the value of the
// first of the headers Authorization (less its scheme), X-Api-Key, Api-Key and
// X-Goog-Api-Key that has one, or "". It is a good [affinity.Config.Tenant]: who
// has not another tenant's credential cannot name that tenant's sessions.
//
// The result is a secret. Selectors keep a keyed hash of it only.
func Credential(r *Request) string {
	for _, name := range credentials {
		if secret := secretOf(r.Header[name]); secret != "" {
			return secret
		}
	}
	// In a map that net/http has not filled in, names may be spelled otherwise.
	best, found := len(credentials), ""
	for key, values := range r.Header {
		for i, name := range credentials[:best] {
			if len(key) == len(name) && strings.EqualFold(key, name) {
				if secret := secretOf(values); secret != "" {
					best, found = i, secret
				}
				break
			}
		}
	}
	return found
}

var credentials = []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key"}

// secretOf returns what the value of a header has behind the scheme, if it has one.
func secretOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	value := strings.TrimSpace(values[0])
	scheme, secret, ok := strings.Cut(value, " ")
	switch {
	case ok:
		return strings.TrimSpace(secret)
	case strings.EqualFold(scheme, "Bearer"), strings.EqualFold(scheme, "Basic"):
		return "" // and nothing behind it
	}
	return value
}
