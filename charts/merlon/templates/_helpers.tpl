{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* dict "root" $ "component" "agent" "app" "kubearmor": labels of an object and of its pods. kubearmor-app is what KubeArmor's clients look for. */}}
{{- define "merlon.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{ include "merlon.selector" . }}
{{- end }}

{{- define "merlon.selector" -}}
app.kubernetes.io/name: merlon
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
kubearmor-app: {{ .app }}
{{- end }}

{{/* dict "root" $ "image" .Values.image.agent */}}
{{- define "merlon.image" -}}
{{- $registry := .root.Values.image.registry -}}
{{- if $registry }}{{ trimSuffix "/" $registry }}/{{ end }}{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end }}

{{/* What a container may not: everything, unless it adds capabilities one by one. */}}
{{- define "merlon.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* dict "pod" .Values.agent: what every pod takes from its values. */}}
{{- define "merlon.placement" -}}
{{- with .pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .pod.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Five minutes to start: a node that is overloaded is not helped by starting again and again. */}}
{{- define "merlon.health" -}}
startupProbe: {httpGet: {path: /livez, port: http}, periodSeconds: 2, timeoutSeconds: 5, failureThreshold: 150}
livenessProbe: {httpGet: {path: /livez, port: http}, periodSeconds: 20, timeoutSeconds: 15, failureThreshold: 5}
{{- end }}

{{/* Certificates: the operator's authority, from the ConfigMap that the operator writes, and a token for it alone. */}}
{{- define "merlon.identityMounts" -}}
- {name: ca, mountPath: /etc/merlon/ca, readOnly: true}
- {name: token, mountPath: /var/run/secrets/merlon, readOnly: true}
{{- end }}
{{- define "merlon.identityVolumes" -}}
- name: ca
  configMap: {name: merlon-ca}
- name: token
  projected:
    sources:
      - serviceAccountToken: {path: token, audience: merlon, expirationSeconds: 3600}
{{- end }}
{{- define "merlon.identityArgs" -}}
- --ca-file=/etc/merlon/ca/ca.crt
- --token-file=/var/run/secrets/merlon/token
{{- end }}
