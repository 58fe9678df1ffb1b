package extract

import "strings"

// Credential returns the credential that a request came with: the value of the
// first of the headers Authorization (less its scheme), X-Api-Key, Api-Key and
// X-Goog-Api-Key that it has, or "". It is a good [affinity.Config.Tenant]: who
// has not another tenant's credential cannot name that tenant's sessions.
//
// The result is a secret. Selectors keep a keyed hash of it only.
func Credential(r *Request) string {
	for _, name := range []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key"} {
		if values := r.Header[name]; len(values) > 0 && values[0] != "" {
			if _, secret, ok := strings.Cut(values[0], " "); ok {
				return secret
			}
			return values[0]
		}
	}
	return ""
}
