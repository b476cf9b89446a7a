// What Grafana does with frames before a panel sees them: transformations, then defaults and overrides of fields.
import {
    applyFieldOverrides, FieldConfigOptionsRegistry, standardTransformers, standardTransformersRegistry, transformDataFrame,
} from '@grafana/data';
import { lastValueFrom } from 'rxjs';

// One of them is there by two names.
const transformers = new Map(Object.values(standardTransformers).map(one => [one.id, one]));
standardTransformersRegistry.setInit(() =>
    [...transformers].map(([id, transformation]) => ({ id, name: transformation.name, transformation })));

const STANDARD = ['unit', 'min', 'max', 'decimals', 'displayName', 'color', 'noValue', 'links', 'mappings', 'thresholds'];

// Grafana's program registers each option of a field with an editor for it. Here there are no editors.
function registry({ defaults, overrides }) {
    const option = (id, path, isCustom) => ({ id, name: id, path, isCustom, process: value => value, shouldApply: () => true });
    const custom = new Set(Object.keys(defaults.custom ?? {}));
    for (const { id } of overrides.flatMap(rule => rule.properties)) {
        if (id.startsWith('custom.')) {
            custom.add(id.slice('custom.'.length));
        } else if (!STANDARD.includes(id)) {
            throw new Error(`no option of a field: ${id}`);
        }
    }
    const options = STANDARD.map(id => option(id, id, false));
    options.push(...[...custom].map(path => option(`custom.${path}`, path, true)));
    return new FieldConfigOptionsRegistry(() => options);
}

// In JSON the lowest step of thresholds is null.
const withLowest = thresholds => ({
    ...thresholds,
    steps: thresholds.steps.map((step, at) => ({ ...step, value: at === 0 ? -Infinity : step.value })),
});

/** The frames that a panel draws. */
export async function prepare(panel, frames, { theme, replaceVariables }) {
    for (const { id } of panel.transformations ?? []) {
        standardTransformersRegistry.get(id); // throws if there is no such one
    }
    const context = { interpolate: replaceVariables };
    const data = await lastValueFrom(transformDataFrame(panel.transformations ?? [], frames, context));
    const lowest = property => (property.id === 'thresholds' ? { ...property, value: withLowest(property.value) } : property);
    const { defaults, overrides } = panel.fieldConfig;
    const fieldConfig = {
        defaults: { ...defaults, thresholds: defaults.thresholds && withLowest(defaults.thresholds) },
        overrides: overrides.map(rule => ({ ...rule, properties: rule.properties.map(lowest) })),
    };
    const options = { data, fieldConfig, theme, replaceVariables, timeZone: 'utc', fieldConfigRegistry: registry(fieldConfig) };
    return applyFieldOverrides(options);
}
