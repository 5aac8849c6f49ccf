{{- define "headless-obs.fullname" -}}
{{- $name := contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) -}}
{{- .Values.fullnameOverride | default $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- /* The name of the daemons' Service. */ -}}
{{- define "headless-obs.host" -}}
{{ include "headless-obs.fullname" . }}.{{ .Release.Namespace }}.svc
{{- end -}}

{{- define "headless-obs.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "headless-obs.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* The labels that select the daemons. The pod of `helm test` has others: a DaemonSet adopts all that it selects. */ -}}
{{- define "headless-obs.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: observer
{{- end -}}

{{- /* The labels of the pods. They are few, because a change of a label replaces all pods. */ -}}
{{- define "headless-obs.podLabels" -}}
{{ include "headless-obs.selector" . }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The labels of every object but that pod. The name is always the chart's, because it becomes Prometheus's job. */ -}}
{{- define "headless-obs.labels" -}}
{{ include "headless-obs.selector" . }}
{{ include "headless-obs.common" . }}
{{- end -}}

{{- define "headless-obs.common" -}}
app.kubernetes.io/part-of: {{ .Chart.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "headless-obs.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- /* The options as `--name=value`, once for each of several values; a switch that is on has no value. */ -}}
{{- define "headless-obs.options" -}}
{{- range $name, $value := . }}
{{- range kindIs "slice" $value | ternary $value (list $value) }}
{{- /* A large number would be written as 1.6e+07. */}}
{{- $text := kindIs "float64" . | ternary (int64 . | toString) (toString .) }}
- {{ (and (kindIs "bool" .) .) | ternary (printf "--%s" $name) (printf "--%s=%s" $name $text) | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "headless-obs.rules" -}}
- apiGroups: [discovery.k8s.io]
  # Addresses, readiness and ports of endpoints.
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [""]
  # Headless Services and their ports.
  resources: [services]
  verbs: [list, watch]
- apiGroups: [""]
  # Names of clients. The daemon lists only the pods of its own node; RBAC cannot limit it to these.
  resources: [pods]
  verbs: [list, watch]
{{- end -}}
