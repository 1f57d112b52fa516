/** The component library: what every page is made of. Nothing here knows the API beyond its errors. */
export { Badge, StatusBadge, type Tone } from "./Badge";
export { Button, IconButton } from "./Button";
export { Card, Facts, Figure } from "./Card";
export { Chart, type ChartProps, type Series } from "./Chart";
export { Code, Copy } from "./Copy";
export { Confirm, Dialog } from "./Dialog";
export { Checkbox, Field, Select, TextArea } from "./Field";
export { Menu, type MenuItem } from "./Menu";
export { Name } from "./Name";
export { Progress } from "./Progress";
export { EmptyState, ErrorBox, Skeleton } from "./States";
export { StateBar, type StatePart } from "./StateBar";
export { Table, type Column, type Paging } from "./Table";
export { Tabs, type Tab } from "./Tabs";
export { Toasts, useToast } from "./Toast";
export { Bytes, Duration, Moment, Money, Since, TimeAgo } from "./Values";
export { cx } from "./class";
